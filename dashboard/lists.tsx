import { useState } from 'preact/hooks'
import type { Frame, ListName, ShownList } from '../lib/dashboard/frame'
import { list as askList } from './api'
import { RunList, type OnAct } from './run-list'
import { usePolled } from './use-polled'

const LISTS: ReadonlyArray<{ name: ListName, title: string, empty: string }> = [
  { name: 'running', title: 'Running', empty: 'Nothing is at work.' },
  { name: 'waiting', title: 'Queued', empty: 'Nothing waits.' },
  { name: 'failed', title: 'Recent failures', empty: 'Nothing has failed lately.' }
]

interface ListsProps { lists: Frame['lists'], now: number, isPaused: boolean, onAct: OnAct }

export function Lists ({ lists, ...others }: ListsProps) {
  return <>{LISTS.map((each) => <OneList key={each.name} {...each} {...others} list={lists[each.name]} />)}</>
}

/** The beginning of a list comes with each frame; who wants more asks for it. */
function OneList ({ list, isPaused, name, empty, ...others }: { list: ShownList, name: ListName, title: string, empty: string } & Omit<ListsProps, 'lists'>) {
  const [isLong, setLong] = useState(false)
  const long = usePolled(isLong ? name : undefined, () => askList(name), isPaused)
  const shown = isLong ? long.value ?? list : list
  return (
    <RunList {...others} name={name} list={shown} empty={shown.more ? 'Nothing among those that were looked at.' : empty} trouble={long.error}>
      {(isLong || list.more) && (
        <p class='more'>
          {shown.more && shown.runs.length > 0 && `This is a sample: ${shown.runs.length} of more. `}
          <button type='button' aria-pressed={isLong} onClick={() => setLong(!isLong)}>Show up to 1,000</button>
        </p>
      )}
    </RunList>
  )
}
