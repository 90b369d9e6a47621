import { Refusal, runService } from '../examples/outside-service.js'

const words = ['ink', 'leaf', 'margin', 'page', 'quire', 'spine', 'type', 'vellum']
const dictionary: Record<string, string> = { de: 'auf Deutsch', fr: 'en français' }

/** An archive, which knows keys; and OCR and translation, which are paid for by the request and know none. */
await runService('document', {
  knowsKeys: ['scan', 'store'],
  busyPercent: 15,
  actions: {
    scan: ({ pages }) => ({
      images: Array.from({ length: Number(pages) }, (_, page) => `image ${page + 1}`),
    }),
    ocr({ image }, random) {
      const read = Array.from({ length: 3 }, () => words[Math.floor(random() * words.length)])
      return { text: `${String(image)}: ${read.join(' ')}` }
    },
    translate({ text, language }) {
      const added = dictionary[String(language)]
      if (added === undefined) throw new Refusal(`there is no translator for '${String(language)}'`)
      return { text: `${String(text)} (${added})` }
    },
    store: ({ pages }) => ({ stored: (pages as string[]).length }),
  },
})
