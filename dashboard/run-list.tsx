import type { ComponentChildren } from 'preact'
import { useLayoutEffect, useRef } from 'preact/hooks'
import type { ShownList, ShownRun } from '../lib/dashboard/frame'
import type { Action } from './api'
import { count } from './format'
import { RunRow } from './run-row'

export type OnAct = (action: Action, run: ShownRun) => void

interface RunListProps {
  name: string
  title: string
  list: ShownList | undefined
  empty: string
  now: number
  trouble?: string | undefined
  onAct: OnAct
  children?: ComponentChildren
}

export function RunList ({ name, title, list, empty, now, trouble, onAct, children }: RunListProps) {
  const heading = useRef<HTMLHeadingElement>(null)
  const section = useRef<HTMLElement>(null)
  const focused = useRef<Element | null>(null)

  // A row goes when its run is over: who was on it is to stay near.
  useLayoutEffect(() => {
    if (focused.current === null || focused.current.isConnected || document.activeElement !== document.body) return
    heading.current!.focus({ preventScroll: true })
  })

  const runs = list?.runs ?? []
  // In a pause, a list may be newer than the last frame.
  const time = Math.max(now, ...runs.map(({ queuedAt, startedAt, finishedAt }) => finishedAt ?? startedAt ?? queuedAt))
  return (
    <section
      ref={section} aria-labelledby={`list-${name}`}
      onFocusIn={({ target }) => { focused.current = target as Element }}
      onFocusOut={({ relatedTarget }) => { if (isElsewhere(relatedTarget as Element | null)) focused.current = null }}
    >
      <h2 ref={heading} id={`list-${name}`} tabIndex={-1}>{title} <small>{count(runs.length)}{list?.more === true && '+'}</small></h2>
      {trouble !== undefined && <p class='trouble'>{trouble}</p>}
      {runs.length === 0
        ? <p class='empty'>{empty}</p>
        : <ul class='runs'>{runs.map((run) => <RunRow key={run.id} run={run} now={time} onAct={onAct} />)}</ul>}
      {children}
    </section>
  )

  // A dialog gives the focus back, and may find no row to give it to.
  function isElsewhere (target: Element | null): boolean {
    return target !== null && !section.current!.contains(target) && target.closest('dialog') === null
  }
}
