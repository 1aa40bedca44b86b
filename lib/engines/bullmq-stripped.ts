// Of ioredis: what was sent, as the password or the arguments of a task, and what has come. Of PostgreSQL: values.
const TELLING = ['command', 'buffer', 'detail', 'where']

/** Takes out of an error of the server what is not for logs: they write down all that an error has. */
export function stripped<T> (error: T): T {
  const fields = Object(error) as Record<string, unknown> & { readonly previousErrors?: unknown[] }
  for (const name of TELLING) Reflect.deleteProperty(fields, name)
  // Of a transaction: why each of its commands was refused.
  fields.previousErrors?.forEach(stripped)
  return error
}
