/** Throws, whatever it is asked. */
export function trap (): never {
  throw new Error('trap')
}

/** An object that throws at every question. */
export function revoked (): object {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}
