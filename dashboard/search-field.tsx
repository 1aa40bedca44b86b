import { useEffect, useState } from 'preact/hooks'

// Who types is not done yet.
const DELAY = 200
const MAX_LENGTH = 200

export function SearchField ({ onSearch }: { onSearch: (text: string) => void }) {
  const [text, setText] = useState('')
  useEffect(() => {
    const timer = setTimeout(() => onSearch(text.trim()), DELAY)
    return () => clearTimeout(timer)
  }, [text])
  return (
    <form class='search' role='search' onSubmit={(event) => event.preventDefault()}>
      <label for='search'>Search by name, or by the beginning of an id</label>
      <input
        id='search' type='search' autocomplete='off' spellcheck={false} maxLength={MAX_LENGTH} value={text}
        onInput={({ currentTarget }) => setText(currentTarget.value)}
      />
    </form>
  )
}
