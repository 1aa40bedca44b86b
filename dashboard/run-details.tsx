import { useEffect, useState } from 'preact/hooks'
import type { ShownDetail, ShownRun } from '../lib/dashboard/frame'
import { detail } from './api'
import { time } from './format'

/** All that there is to know of a run, asked for again when it has moved on. */
export function RunDetails ({ run }: { run: ShownRun }) {
  const [shown, setShown] = useState<ShownDetail>()
  const [trouble, setTrouble] = useState<string>()
  const { id, state, attempt } = run

  useEffect(() => {
    let isOver = false
    detail(id).then((found) => {
      if (isOver) return
      setShown(found)
      setTrouble(undefined)
    }, (error: Error) => {
      if (!isOver) setTrouble(error.message)
    })
    return () => { isOver = true }
  }, [id, state, attempt])

  const { queuedAt, startedAt, finishedAt, durable } = run
  return (
    <div class='details'>
      <dl>
        <dt>id</dt><dd><code>{id}</code></dd>
        <dt>kept by</dt><dd>{durable ? 'the engine' : 'this process'}</dd>
        <dt>attempts</dt><dd>{attempt}</dd>
        <dt>queued</dt><dd>{time(queuedAt)}</dd>
        {startedAt !== undefined && <><dt>started</dt><dd>{time(startedAt)}</dd></>}
        {finishedAt !== undefined && <><dt>ended</dt><dd>{time(finishedAt)}</dd></>}
      </dl>
      {trouble !== undefined && <p class='trouble'>{trouble}</p>}
      {shown?.args !== undefined && <><h3>Arguments</h3><pre tabIndex={0} role='region' aria-label='Arguments'>{shown.args}</pre></>}
      {shown?.stack !== undefined && <><h3>Error</h3><pre tabIndex={0} role='region' aria-label='Error'>{shown.stack}</pre></>}
    </div>
  )
}
