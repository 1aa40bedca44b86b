import { inspect } from 'node:util'
import type { Job } from 'bullmq'
import Fastify from 'fastify'
import t from 'tap'
import { failureOf } from '../../lib/engines/bullmq-failure'
import { ProgressWriter } from '../../lib/engines/bullmq-progress'
import { Recent } from '../../lib/engines/bullmq-recent'
import { stripped } from '../../lib/engines/bullmq-stripped'
import { Trouble } from '../../lib/engines/bullmq-trouble'
import type { TaskProgress } from '../../lib/types'
import { memoryLogger } from '../helpers/app'
import { latch, until } from '../helpers/latch'

t.test('progress: of what is said meanwhile, the last goes out, and never two at once', async (t) => {
  const writes: Array<{ progress: TaskProgress, end: () => void }> = []
  const writer = new ProgressWriter((progress) => {
    const written = latch()
    writes.push({ progress, end: written.open })
    return written
  })
  for (const value of [0.1, 0.2, 0.3]) writer.set({ value })
  await until(() => writes.length === 1)
  await new Promise((resolve) => setTimeout(resolve, 1))
  writes[0].end()
  await until(() => writes.length === 2)
  t.strictSame(writes.map(({ progress }) => progress.value), [0.1, 0.3])
  writes[1].end()
  writer.end()
})

t.test('progress: a server that does not take it harms nothing', async (t) => {
  let asked = 0
  const writer = new ProgressWriter(async () => {
    asked++
    throw new Error('away')
  })
  writer.set({ value: 0.1 })
  writer.set({ value: 0.2 })
  await until(() => asked === 2)
  writer.set({ value: 0.3 })
  writer.end()
  t.equal(asked, 3)
})

t.test('what was remembered first is forgotten first', (t) => {
  const recent = new Recent<number>(2)
  for (const [i, key] of ['a', 'b', 'a', 'c'].entries()) recent.set(key, i)
  t.strictSame([recent.get('a'), recent.get('b'), recent.get('c'), recent.size], [2, undefined, 3, 2])
  recent.delete('a')
  t.equal(recent.size, 1)
  t.end()
})

t.test('what is not for logs is taken out of an error, and out of those that it was made of', (t) => {
  const refused = Object.assign(new Error('OOM'), { command: { name: 'set', args: ['secret'] } })
  const error = Object.assign(new Error('EXECABORT'), { command: { name: 'exec' }, detail: 'secret', where: 'secret', buffer: 'secret', previousErrors: [refused] })
  t.equal(stripped(error), error)
  t.notMatch(inspect(error), 'secret')
  t.match(error, { message: 'EXECABORT', previousErrors: [{ message: 'OOM' }] })
  t.equal(stripped(undefined), undefined)
  t.end()
})

t.test('a job that others have failed has an error too', (t) => {
  const jobs: Array<Partial<Job>> = [
    { failedReason: 'by hand', stacktrace: [], attemptsMade: 2 },
    { failedReason: 'by hand', stacktrace: ['Error: by hand\n  at x'], attemptsMade: 2 },
    { failedReason: 'by hand', stacktrace: ['{}'], attemptsMade: 2 }
  ]
  for (const job of jobs) {
    t.match(failureOf(job as Job), { error: { name: 'Error', message: 'by hand', stack: job.stacktrace?.[0] }, attempt: 2 })
  }
  t.end()
})

t.test('trouble is said once, and that it is over only after a time without', async (t) => {
  const { logger, lines } = memoryLogger()
  const probes: Array<(error?: Error) => void> = []
  const trouble = new Trouble(Fastify({ logger }).log, 1, () => new Promise<void>((resolve, reject) => {
    probes.push((error) => error === undefined ? resolve() : reject(error))
  }))
  const answer = async (number: number, error?: Error): Promise<void> => {
    await until(() => probes.length === number)
    probes[number - 1](error)
  }
  trouble.report(new Error('first'))
  trouble.report(new Error('second'))
  await answer(1, new Error('still'))
  await answer(2)
  trouble.report(new Error('again'))
  await answer(3)
  await answer(4)
  await until(() => lines.length === 2)
  t.match(lines, [{ level: 40, err: { message: 'first' } }, { level: 30, msg: /is back/ }])

  trouble.report(new Error('third'))
  await until(() => probes.length === 5)
  trouble.close()
  probes[4]()
  trouble.report(new Error('after the end'))
  await new Promise((resolve) => setTimeout(resolve, 5))
  t.equal(probes.length, 5)
  t.equal(lines.length, 3)
})
