import { expectTypeOf } from 'expect-type'
import type { FastifyInstance } from 'fastify'
import type {
  AppBackground, BackgroundStats, ReplyBackground, TaskRun, TaskState
} from 'fastify-background'

declare const app: FastifyInstance
declare const run: TaskRun<string>

// A run tells its outcome, and cannot be changed.
expectTypeOf(run).toEqualTypeOf<{
  readonly id: string
  readonly name: string
  readonly state: TaskState
  readonly attempt: number
  readonly error: unknown
  readonly result: string | undefined
  readonly queuedAt: number
  readonly startedAt: number | undefined
  readonly finishedAt: number | undefined
  finished (): Promise<TaskRun<string>>
}>()
expectTypeOf<TaskState>().toEqualTypeOf<'queued' | 'active' | 'completed' | 'failed' | 'discarded' | 'cancelled'>()
expectTypeOf<TaskRun>().toEqualTypeOf<TaskRun<unknown>>()
expectTypeOf(run).toExtend<TaskRun>()
// @ts-expect-error read-only
run.state = 'completed'
// @ts-expect-error read-only
run.result = 'done'

// app.background adds, and tells the state of all.
expectTypeOf(app.background).toEqualTypeOf<AppBackground>()
expectTypeOf<keyof AppBackground>().toEqualTypeOf<'addTask' | 'addTasks' | 'idle' | 'stats' | 'get'>()
expectTypeOf(app.background.idle()).toEqualTypeOf<Promise<void>>()
expectTypeOf(app.background.get('id')).toEqualTypeOf<TaskRun | undefined>()
expectTypeOf(app.background.stats()).toEqualTypeOf<BackgroundStats>()
expectTypeOf<BackgroundStats>().toEqualTypeOf<Record<
  'accepted' | 'queued' | 'active' | 'retrying' | 'completed' | 'failed' | 'cancelled' | 'discarded' | 'stored', number
>>()
// @ts-expect-error an id is a string
app.background.get(1)

// reply.background adds, and tells how many are unfinished.
expectTypeOf<keyof ReplyBackground>().toEqualTypeOf<'addTask' | 'addTasks' | 'size'>()
expectTypeOf<ReplyBackground['size']>().toEqualTypeOf<number>()
declare const background: ReplyBackground
// @ts-expect-error read-only
background.size = 0
