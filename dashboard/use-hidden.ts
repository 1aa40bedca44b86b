import { useEffect, useState } from 'preact/hooks'

/** Whether nobody can see the page: it is in a tab behind another. */
export function useHidden (): boolean {
  const [isHidden, setHidden] = useState(document.hidden)
  useEffect(() => {
    const change = (): void => setHidden(document.hidden)
    document.addEventListener('visibilitychange', change)
    return () => document.removeEventListener('visibilitychange', change)
  }, [])
  return isHidden
}
