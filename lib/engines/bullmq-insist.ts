import type { Job } from 'bullmq'
import { isAboutJob } from './bullmq-failure'
import type { Bullmq, Server } from './bullmq-server'

// BullMQ goes by this message.
const CONNECTION_CLOSED = 'Connection is closed.'

interface Listeners {
  /** What has to be tried again. */
  readonly report: (error: unknown) => void
  /** The job is not in our hands. */
  readonly lost: (id: string) => void
}

/**
 * Makes BullMQ write the outcome of a job for as long as it takes. By itself it tries again only after some errors of a
 * connection; after any other it would take a completed task for a failed one, and have it run again.
 *
 * @returns the class of such jobs.
 */
export function insistent (
  { Job }: Pick<Bullmq, 'Job'>, { refuses, isConflict }: Pick<Server, 'refuses' | 'isConflict'>, { report, lost }: Listeners
): Bullmq['Job'] {
  async function insist<T> ({ id }: Job, write: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await write()
      } catch (error) {
        if (isAboutJob(error)) lost(id as string)
        if (isAboutJob(error) || refuses(error)) throw error
        if (isConflict(error)) continue
        report(error)
        throw new Error(CONNECTION_CLOSED, { cause: error })
      }
    }
  }

  return class InsistentJob extends Job {
    override async moveToCompleted (...args: Parameters<Job['moveToCompleted']>): ReturnType<Job['moveToCompleted']> {
      return await insist(this, () => super.moveToCompleted(...args))
    }

    override async moveToFailed (...args: Parameters<Job['moveToFailed']>): ReturnType<Job['moveToFailed']> {
      return await insist(this, () => super.moveToFailed(...args))
    }
  } as Bullmq['Job']
}
