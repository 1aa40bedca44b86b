import { assertOption, assertOptions, atLeastOne, type Check } from '../checks'
import type { StoredQuery, StoredState } from './engine'

const STATES: readonly StoredState[] = ['queued', 'active', 'retrying', 'completed', 'failed', 'cancelled']

const aState: Check = [`one of ${STATES.join(', ')}`, (value) => (STATES as readonly unknown[]).includes(value)]
const aText: Check = ['a string', (value) => typeof value === 'string']

/**
 * Asked before anything is: a wrong query is no trouble of the store's.
 *
 * @param isCursor Whether it may have come with a page of such a query.
 * @throws `FST_ERR_BACKGROUND_INVALID_OPTION`
 */
export function assertQuery (query: StoredQuery, isCursor: (cursor: string) => boolean): void {
  assertOptions<StoredQuery>(query, {
    state: aState,
    name: aText,
    limit: atLeastOne,
    cursor: ['one that came with the page before', (value) => typeof value === 'string' && isCursor(value)]
  })
  assertOption('limit', query.limit, atLeastOne)
}
