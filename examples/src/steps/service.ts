import { runService } from '../examples/outside-service.js'

const letters = 'ABCDEF'

/** A warehouse, a courier and a mailer. Each does a thing once per `Idempotency-Key`. */
await runService('steps', {
  knowsKeys: ['reserve', 'book', 'notify'],
  actions: {
    reserve: (_order, random) => ({
      shelf: `${letters[Math.floor(random() * 6)]}${Math.floor(random() * 90)}`,
    }),
    book: ({ shelf }, random) => ({ tracking: `${String(shelf)}-${Math.floor(random() * 1e9)}` }),
    notify: ({ tracking }) => ({ sent: `your parcel is ${String(tracking)}` }),
  },
})
