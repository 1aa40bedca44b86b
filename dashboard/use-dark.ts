import { useEffect, useState } from 'preact/hooks'

const query = matchMedia('(prefers-color-scheme: dark)')

export function useDark (): boolean {
  const [isDark, setDark] = useState(query.matches)
  useEffect(() => {
    const change = (): void => setDark(query.matches)
    query.addEventListener('change', change)
    return () => query.removeEventListener('change', change)
  }, [])
  return isDark
}
