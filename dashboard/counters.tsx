import type { Frame } from '../lib/dashboard/frame'
import { count } from './format'

const STATES = ['queued', 'active', 'retrying', 'completed', 'failed', 'cancelled', 'discarded'] as const

export function Counters ({ frame: { stats, engine } }: { frame: Frame }) {
  const states = engine === undefined ? STATES : [...STATES, 'stored'] as const
  return (
    <section aria-labelledby='counters'>
      <h2 id='counters'>{engine === undefined ? 'Runs' : 'Runs of this process'}</h2>
      <dl class='tiles'>
        {states.map((state) => <Tile key={state} label={state} value={stats[state]} />)}
      </dl>
      {engine !== undefined && (
        <>
          <h2>Kept by the engine ({engine.name}), of all processes</h2>
          {engine.trouble !== undefined && <p class='trouble'>What is shown of the engine may be old: {engine.trouble}</p>}
          <dl class='tiles'>
            {engine.counts !== undefined && Object.entries(engine.counts).map(([state, value]) => (
              <Tile key={state} label={state} value={value} />
            ))}
          </dl>
        </>
      )}
    </section>
  )
}

function Tile ({ label, value }: { label: string, value: number }) {
  return (
    <div class={`tile ${value > 0 ? `is-${label}` : ''}`}>
      <dt>{label}</dt>
      <dd>{count(value)}</dd>
    </div>
  )
}
