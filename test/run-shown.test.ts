import { inspect } from 'node:util'
import t from 'tap'
import { createApp, memoryLogger } from './helpers/app'
import { failing } from './helpers/policies'

const FIELDS = ['id', 'name', 'state', 'attempt', 'progress', 'queuedAt', 'startedAt', 'finishedAt']

t.test('a run is shown by what is known of it, in JSON, in the log and in a reply, and by no other run', async (t) => {
  const { logger, lines } = memoryLogger('info')
  const app = await createApp(t, {}, { logger })
  app.get('/', async () => app.background.addTask(function first () { this.progress(0.5) }))
  const response = await app.inject('/')
  await app.background.idle()
  const run = await app.background.addTask(failing(1)).finished()
  app.log.info({ run }, 'shown')

  t.equal(response.statusCode, 200)
  t.strictSame(Object.keys(response.json()), ['id', 'name', 'state', 'attempt', 'queuedAt'])
  t.match(response.json(), { name: 'first', state: 'queued', attempt: 0 })
  t.match(lines.at(-1), { run: { id: run.id, name: 'failing', state: 'failed', attempt: 1 } })
  t.strictSame(Object.keys(run.toJSON()), FIELDS)
  for (const text of [JSON.stringify(run), inspect(run)]) t.notMatch(text, /broken|previous|next/, 'neither its error nor what is not its own')
  t.match(inspect(run), /name: 'failing'/)
})
