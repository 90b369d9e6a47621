import { Refusal, runService } from '../examples/outside-service.js'

/** A bank that charges at every request, whatever its key: the case that at-most-once is there for. And a mailer. */
await runService('processing', {
  knowsKeys: ['mail'],
  actions: {
    charge({ card, amount }, random) {
      if (String(card).endsWith('0002')) throw new Refusal('the card is declined')
      return { receipt: `R${Math.floor(random() * 1e9)}`, amount }
    },
    mail: ({ text }) => ({ mailed: text }),
  },
})
