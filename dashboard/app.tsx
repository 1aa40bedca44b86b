import { useEffect, useState } from 'preact/hooks'
import type { ShownList, ShownRun } from '../lib/dashboard/frame'
import { act, search, type Action } from './api'
import { Charts } from './charts'
import { Confirm, type Pending } from './confirm'
import { Counters } from './counters'
import { short } from './format'
import { Lists } from './lists'
import { RunList } from './run-list'
import { SearchField } from './search-field'
import { useFeed } from './use-feed'
import { useHidden } from './use-hidden'
import { usePolled } from './use-polled'

// It stands in front of what is at the bottom.
const OUTCOME_SHOWN = 10_000

const DONE: Record<Action, string> = { cancel: 'Cancelled', retry: 'Started again' }

export function App () {
  const [isPaused, setPaused] = useState(false)
  const [text, setText] = useState('')
  const [pending, setPending] = useState<Pending>()
  const [outcome, setOutcome] = useState('')
  // A browser has six connections for all its pages of one server: those that nobody sees are to leave theirs.
  const isQuiet = useHidden() || isPaused
  const { frame, seconds, isConnected } = useFeed(isQuiet)
  const found = usePolled(text === '' ? undefined : text, () => search(text), isQuiet)

  useEffect(() => {
    const timer = setTimeout(() => setOutcome(''), OUTCOME_SHOWN)
    return () => clearTimeout(timer)
  }, [outcome])

  const ask = (action: Action, run: ShownRun): void => {
    setOutcome('')
    setPending({ action, run })
  }

  return (
    <>
      <a class='skip' href='#search'>To the runs</a>
      <header>
        <h1>Background tasks</h1>
        <p class={`status ${isConnected && !isPaused ? 'is-live' : ''}`}>{isPaused ? 'paused' : isConnected ? 'live' : 'not connected'}</p>
        <button type='button' aria-pressed={isPaused} onClick={() => setPaused(!isPaused)}>Pause</button>
      </header>
      <main>
        {frame === undefined
          ? <p>Waiting for the server…</p>
          : (
            <>
              <Counters frame={frame} />
              <Charts seconds={seconds} now={frame.time} />
              <SearchField onSearch={setText} />
              {text === ''
                ? <Lists lists={frame.lists} now={frame.time} isPaused={isQuiet} onAct={ask} />
                : (
                  <RunList
                    name='found' title={`Found: ${text}`} now={frame.time} list={found.value} trouble={found.error}
                    empty={emptyOf(found.value)} onAct={ask}
                  />
                  )}
            </>
            )}
      </main>
      <Confirm pending={pending} onAnswer={answer} />
      <p class='outcome' role='status'>{outcome}</p>
    </>
  )

  async function answer (isYes: boolean): Promise<void> {
    const { action, run } = pending!
    setPending(undefined)
    if (!isYes) return
    const which = `${run.name} (${short(run.id)})`
    setOutcome(await act(action, run.id).then(() => `${DONE[action]}: ${which}`, (error: Error) => `Not possible: ${error.message}`))
  }
}

function emptyOf (found: ShownList | undefined): string {
  if (found === undefined) return 'Searching…'
  return found.more ? 'Nothing among those that were looked at.' : 'Nothing among the runs that are unfinished or kept.'
}
