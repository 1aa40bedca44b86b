import { useState } from 'preact/hooks'
import type { ShownRun } from '../lib/dashboard/frame'
import { duration, short } from './format'
import { RunDetails } from './run-details'
import type { OnAct } from './run-list'

const UNFINISHED = ['queued', 'active', 'retrying', 'stored']
const CAN_BE_RETRIED = ['failed', 'cancelled']

export function RunRow ({ run, now, onAct }: { run: ShownRun, now: number, onAct: OnAct }) {
  const [isOpen, setOpen] = useState(false)
  const { id, name, state, attempt, progress, error, durable } = run
  return (
    <li class='run'>
      <button type='button' class='name' aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
        {name} <code>{short(id)}</code>
      </button>
      <span class={`state is-${state}`}>{state}</span>
      {attempt > 1 && <span class='attempt'>attempt {attempt}</span>}
      <span class='age'>{ageOf(run, now)}</span>
      <span class='actions'>
        {UNFINISHED.includes(state) && <Act label='Cancel' run={run} onClick={() => onAct('cancel', run)} />}
        {durable && CAN_BE_RETRIED.includes(state) && <Act label='Retry' run={run} onClick={() => onAct('retry', run)} />}
      </span>
      {progress !== undefined && state === 'active' && (
        <span class='progress'>
          <progress value={progress.value} max={1} aria-label={`Progress of ${name} ${short(id)}`} />
          <span>{Math.round(progress.value * 100)} %{progress.message !== undefined && `, ${progress.message}`}</span>
        </span>
      )}
      {error !== undefined && <span class='error'>{error}</span>}
      {isOpen && <RunDetails run={run} />}
    </li>
  )
}

function Act ({ label, run, onClick }: { label: string, run: ShownRun, onClick: () => void }) {
  return <button type='button' aria-label={`${label} ${run.name} ${short(run.id)}`} onClick={onClick}>{label}</button>
}

function ageOf ({ state, queuedAt, startedAt, finishedAt }: ShownRun, now: number): string {
  const since = (then: number): string => duration(Math.max(0, now - then))
  if (finishedAt !== undefined) return `${since(finishedAt)} ago`
  return state === 'active' && startedAt !== undefined ? `for ${since(startedAt)}` : `waits ${since(queuedAt)}`
}
