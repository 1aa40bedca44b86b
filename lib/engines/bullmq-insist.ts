import type { Job } from 'bullmq'
import { isAboutJob } from './bullmq-failure'
import type { Server } from './bullmq-server'

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
 * @returns the job.
 */
export function insist (job: Job, { refuses, isConflict }: Server, { report, lost }: Listeners): Job {
  const complete = job.moveToCompleted.bind(job)
  const fail = job.moveToFailed.bind(job)
  const insistent = async <T>(write: () => Promise<T>): Promise<T> => {
    for (;;) {
      try {
        return await write()
      } catch (error) {
        if (isAboutJob(error)) lost(job.id as string)
        if (isAboutJob(error) || refuses(error)) throw error
        if (isConflict(error)) continue
        report(error)
        throw new Error(CONNECTION_CLOSED, { cause: error })
      }
    }
  }
  job.moveToCompleted = (...args) => insistent(() => complete(...args))
  job.moveToFailed = (...args) => insistent(() => fail(...args))
  return job
}
