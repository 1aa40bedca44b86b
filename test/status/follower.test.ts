import t from 'tap'
import type { Changes } from '../../lib/status/changes'
import { Follower } from '../../lib/status/follower'
import type { TaskSnapshot, TaskState } from '../../lib/types'
import { latch, turn } from '../helpers/latch'

/** A follower whose first look has begun, and is answered by hand. */
function followed (): { follower: Follower, answer: (run: TaskSnapshot | undefined) => void, seen: string[] } {
  const found = latch<TaskSnapshot | undefined>()
  const seen: string[] = []
  const follower = new Follower({ follow: () => () => {} } as unknown as Changes, 'id', () => found, 0, {
    see: ({ state }) => { seen.push(state) },
    beat: () => {},
    lost: () => { seen.push('lost') }
  })
  return { follower, answer: found.open, seen }
}

const inState = (state: TaskState) => ({ id: 'id', state }) as TaskSnapshot

t.test('status: what is found of a run after its end is told does not count', async (t) => {
  for (const late of [inState('active'), inState('completed'), undefined]) {
    const { follower, answer, seen } = followed()
    follower.changed(inState('completed'))
    answer(late)
    await turn()

    t.strictSame(seen, ['completed'])
    t.notOk(process.getActiveResourcesInfo().includes('Timeout'))
  }
})

t.test('status: who has stopped is told nothing more', async (t) => {
  const { follower, answer, seen } = followed()
  follower.stop()
  answer(inState('active'))
  follower.changed(inState('completed'))
  await turn()

  t.strictSame(seen, [])
})
