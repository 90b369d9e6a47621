import { Refusal, runService } from '../examples/outside-service.js'

const accounts = new Map<string, number>()

await runService('audit', {
  knowsKeys: ['open', 'close'],
  actions: {
    open({ subject }, random) {
      const number = Math.floor(random() * 1e6)
      accounts.set(subject, number)
      return { number }
    },
    close({ subject }) {
      if (!accounts.delete(subject)) throw new Refusal(`there is no account ${subject}`)
      return { closed: true }
    },
  },
})
