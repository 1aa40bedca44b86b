import t from 'tap'
import type { Changes, Listener } from '../../lib/status/changes'
import { Follower } from '../../lib/status/follower'
import type { TaskSnapshot, TaskState } from '../../lib/types'
import { latch, turn } from '../helpers/latch'

const ID = 'b2c1d5a4-6f0e-4c0b-9f0a-1d2e3f405162'
const runOf = (state: TaskState): TaskSnapshot => ({ id: ID, state } as unknown as TaskSnapshot)
const nobody = { follow: (_id: string, _listener: Listener) => () => {} } as unknown as Changes

t.test('status: what a look finds that was over when it came back is not seen', async (t) => {
  const found = latch()
  const seen: TaskState[] = []
  const follower = new Follower(nobody, ID, async () => {
    await found
    return runOf('active')
  }, 0, { see: ({ state }) => { seen.push(state) }, beat () {}, lost: () => { t.fail('it is known') } })
  follower.changed(runOf('completed'))
  found.open()
  await turn()

  t.strictSame(seen, ['completed'])
})

t.test('status: a run that is not known any more when all is over is not lost', async (t) => {
  const found = latch()
  const seen: TaskState[] = []
  const follower = new Follower(nobody, ID, async () => {
    await found
    return undefined
  }, 0, { see: ({ state }) => { seen.push(state) }, beat () {}, lost: () => { t.fail('its end was seen') } })
  follower.changed(runOf('failed'))
  found.open()
  await turn()

  t.strictSame(seen, ['failed'])
})
