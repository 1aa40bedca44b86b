// A TypeScript application with a mistake in each line that says so.
import fastify from 'fastify'
import background, { BackgroundTask, defineTask } from 'fastify-background'
import { getTaskContext } from 'fastify-background/context'

async function sendEmail (to: string, subject: string): Promise<number> {
  return to.length + subject.length
}

const app = fastify()
app.register(background, { closeTimeout: '1s' }) // TS2769
app.register(background, { unknown: true }) // TS2769
app.background.addTask(sendEmail, 'a@b.c') // TS2554
app.background.addTask(sendEmail, 'a@b.c', 1) // TS2345
app.background.addTask(sendEmail('a@b.c', 'hi')) // TS2769
app.background.runEverything() // TS2339
const email = defineTask(sendEmail, { retries: 3 })
app.background.addTask(email, 'a@b.c') // TS2554
app.background.addTask(email, 'a@b.c', 1) // TS2345
app.background.addTask(email, 'a@b.c', 'hi').abort() // TS2339
email('a@b.c') // TS2554
defineTask(sendEmail, { retrys: 3 }) // TS2353
defineTask(sendEmail, { backoff: { delay: '1s' } }) // TS2322
defineTask(email('a@b.c', 'hi')) // TS2345
getTaskContext().log.info('hi') // TS2532
app.get('/', { background: new BackgroundTask(sendEmail, 'a@b.c', 1) }, async () => 'ok') // TS2345
app.get('/', { background: sendEmail('a@b.c', 'hi') }, async () => 'ok') // TS2322
app.get('/', { background: email }, async () => 'ok') // TS2322
app.post<{ Body: { email: string } }>('/', {
  background: (request) => request.body.subject // TS2339
}, async (request, reply) => {
  const size: string = reply.background.size // TS2322
  return size
})
