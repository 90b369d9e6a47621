import 'reflect-metadata'
import { express } from '@mcp-durable/core/express'
import { type BeforeApplicationShutdown, Injectable, Module } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { mcp } from './mcp.ts'

@Injectable()
class Mcp implements BeforeApplicationShutdown {
  readonly middleware = express(mcp) // a `durable()` made here can use injected services in its tools

  beforeApplicationShutdown() {
    return mcp.close()
  }
}

@Module({ providers: [Mcp] })
class AppModule {}

const app = await NestFactory.create(AppModule)
app.use('/mcp', app.get(Mcp).middleware)
app.enableShutdownHooks()
await app.listen(Number(process.env.PORT ?? 3000), '127.0.0.1')
console.log(`listening on ${await app.getUrl()}`)
