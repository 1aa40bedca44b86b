import type { Test } from 'tap'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { isCollected } from './gc'

/** What a run works with: it must let go of all of it. */
export interface Held { request: WeakRef<object>, reply: WeakRef<object>, argument: WeakRef<object> }

/** One request, whose handler calls `add` with the reply and an argument for its tasks: only weak references are left. */
export async function ask (app: FastifyInstance, add: (reply: FastifyReply, argument: object) => void): Promise<Held> {
  let held!: Held
  app.get('/', async (request, reply) => {
    const argument = { large: true }
    held = { request: new WeakRef(request), reply: new WeakRef(reply), argument: new WeakRef(argument) }
    add(reply, argument)
    return 'ok'
  })
  await app.inject('/')
  return held
}

export async function assertCollected (t: Test, held: Held): Promise<void> {
  for (const [name, ref] of Object.entries(held)) t.ok(await isCollected(ref), `the ${name} can be collected`)
}

/** Does something with what it is given, and keeps nothing of it. */
export function use (argument: object, reply: FastifyReply): void {
  if (reply.statusCode !== 200) throw new Error(`not expected with ${JSON.stringify(argument)}`)
}
