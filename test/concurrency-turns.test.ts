import t from 'tap'
import type { FastifyInstance, FastifyReply } from 'fastify'
import background from '../lib/index'
import { createApp } from './helpers/app'
import { occupy, settle } from './helpers/limited'

const { BackgroundTasks } = background

t.test('R2: replies, groups and what is outside a request take turns', async (t) => {
  const app = await createApp(t, { concurrency: 1 })
  const starts: string[] = []
  const three = (name: string): Array<() => void> => [1, 2, 3].map((i) => () => { starts.push(`${name}${i}`) })
  const open = await occupy(app, 1)
  await settle(app,
    (reply) => { reply.background.addTasks(three('a')) },
    (reply) => { reply.background.addTasks(three('b')) },
    (reply) => { reply.background.addTasks(new BackgroundTasks(three('c'), { concurrency: 3 })) })
  app.background.addTasks(three('d'))
  open()
  await app.background.idle()

  t.equal(starts.join(' '), 'a1 b1 c1 d1 a2 b2 c2 d2 a3 b3 c3 d3')
})

const many = <T>(task: T, times = 1_000): T[] => new Array(times).fill(task)

for (const concurrency of [1, 3]) {
  for (const [who, add] of [
    ['a reply with 1,000 tasks', (app, reply, task) => reply.background.addTasks(many(task))],
    ['a reply with a group of 1,000', (app, reply, task) =>
      reply.background.addTasks(new BackgroundTasks(many(task), { concurrency: Infinity }))],
    ['1,000 tasks outside a request', (app, reply, task) => { for (const each of many(task)) app.background.addTask(each) }],
    ['a group of 1,000 outside a request', (app, reply, task) =>
      app.background.addTasks(new BackgroundTasks(many(task), { concurrency: Infinity }))],
    ['100 groups of 10 in a list', (app, reply, task) => reply.background.addTasks(
      many(new BackgroundTasks(many(task, 10), { concurrency: Infinity }), 100))]
  ] as Array<[string, (app: FastifyInstance, reply: FastifyReply, task: () => unknown) => unknown]>) {
    t.test(`R2: beside ${who}, at a concurrency of ${concurrency}, nobody starves`, async (t) => {
      const app = await createApp(t, { concurrency })
      let starts = 0
      const positions: number[] = []
      const open = await occupy(app, concurrency)
      await settle(app,
        (reply) => { add(app, reply, () => starts++) },
        (reply) => { reply.background.addTask(() => { positions.push(starts) }) })
      if (!who.includes('outside')) app.background.addTask(() => { positions.push(starts) })
      open()
      await app.background.idle()

      t.equal(starts, 1_000)
      t.ok(positions.length > 0 && positions.every((position) => position <= 4), `started behind ${positions.join(' and ')}`)
    })
  }
}
