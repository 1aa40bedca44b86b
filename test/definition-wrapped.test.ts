import t from 'tap'
import background from '../lib/index'
import { createApp } from './helpers/app'
import { counts } from './helpers/counts'
import { trap } from './helpers/hostile'

const { defineTask } = background

t.test('a function that has been given the properties of a definition is none', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  const definition = defineTask(() => { ran.push('definition') }, { name: 'definition' })
  const wrapper = (): void => {
    ran.push('wrapper')
    definition()
  }
  // As https://github.com/sindresorhus/mimic-function does it, for p-throttle and others.
  for (const key of Reflect.ownKeys(definition)) {
    if (['length', 'prototype', 'arguments', 'caller'].includes(key as string)) continue
    Object.defineProperty(wrapper, key, Object.getOwnPropertyDescriptor(definition, key)!)
  }
  await app.background.addTask(wrapper).finished()

  t.strictSame(ran, ['wrapper', 'definition'])
})

t.test('a field of backoff may be inherited or computed', async (t) => {
  class Backoff {
    get delay (): number { return 5 }
  }
  t.equal(defineTask(() => {}, { backoff: Object.create({ delay: 5 }) }).options.backoff!.delay, 5)
  t.equal(defineTask(() => {}, { backoff: new Backoff() }).options.backoff!.delay, 5)
})

t.test('A2: a proxy of a function whose traps throw is a task like any, and a list with it is accepted as a whole', async (t) => {
  const app = await createApp(t)
  const proxy = new Proxy(() => 'done', { get: (target, key) => typeof key === 'symbol' ? trap() : Reflect.get(target, key) })
  app.background.addTasks([() => {}, proxy])
  await app.background.idle()

  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 2 }))
})
