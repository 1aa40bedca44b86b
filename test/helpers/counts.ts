import type background from '../../lib/index'

/** What `stats()` returns when these are its counts, and all others are 0. */
export function counts (some: Partial<background.BackgroundStats> = {}): background.BackgroundStats {
  return {
    accepted: 0, queued: 0, active: 0, retrying: 0, completed: 0, failed: 0, cancelled: 0, discarded: 0, stored: 0, ...some
  }
}
