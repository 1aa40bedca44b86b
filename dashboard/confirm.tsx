import { useLayoutEffect, useRef } from 'preact/hooks'
import type { ShownRun } from '../lib/dashboard/frame'
import type { Action } from './api'
import { short } from './format'

export interface Pending { action: Action, run: ShownRun }

const WORDS: Record<Action, { title: string, text: string, yes: string, no: string }> = {
  cancel: {
    title: 'Cancel this run?',
    text: 'If it waits, it will not start. If it is at work, it is told to stop; what it has done is not undone.',
    yes: 'Cancel the run',
    no: 'Let it go on'
  },
  retry: {
    title: 'Start this run again?',
    text: 'It begins with its first attempt, with the arguments that were stored. What it did before, it may do twice.',
    yes: 'Start it again',
    no: 'Leave it'
  }
}

/** Asks before something is changed. The browser keeps the focus in the dialog, and gives it back. */
export function Confirm ({ pending, onAnswer }: { pending: Pending | undefined, onAnswer: (isYes: boolean) => unknown }) {
  const dialog = useRef<HTMLDialogElement>(null)
  // At once: what it gives the focus back to may be gone soon.
  useLayoutEffect(() => {
    if (pending === undefined) dialog.current!.close()
    else dialog.current!.showModal()
  }, [pending])

  const { title, text, yes, no } = WORDS[pending?.action ?? 'cancel']
  return (
    <dialog
      ref={dialog} aria-labelledby='confirm-title' aria-describedby='confirm-text'
      onCancel={(event) => {
        event.preventDefault()
        onAnswer(false)
      }}
    >
      <h2 id='confirm-title'>{title}</h2>
      {pending !== undefined && <p><b class='name'>{pending.run.name}</b> <code>{short(pending.run.id)}</code></p>}
      <p id='confirm-text'>{text}</p>
      <p class='answers'>
        <button type='button' autofocus onClick={() => onAnswer(false)}>{no}</button>
        <button type='button' class='primary' onClick={() => onAnswer(true)}>{yes}</button>
      </p>
    </dialog>
  )
}
