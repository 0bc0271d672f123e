import { describe, expect, test } from '@jest/globals';
import { Transactions } from '../../src/log/transactions.ts';

describe('a transaction is found by its keys', () => {
  test('the latest transaction of a key is found, and none after a clear', () => {
    const transactions = new Transactions();
    const [first, second] = [transactions.begin(), transactions.begin()];
    transactions.link('cid:a', first);
    transactions.link('uid:b', first);
    transactions.link('cid:a', second);
    expect(transactions.find('cid:a')).toBe(second);
    expect(transactions.find('uid:b')).toBe(first);
    expect(transactions.find('uid:c')).toBeUndefined();
    transactions.clear();
    expect(transactions.find('cid:a')).toBeUndefined();
    expect(transactions.list()).toEqual([]);
  });

  test('a transaction is found until 200 others have begun; the key of a later one stays', () => {
    const transactions = new Transactions();
    const first = transactions.begin();
    transactions.link('grant:mine', first);
    transactions.link('grant:shared', first);
    const later = transactions.begin();
    transactions.link('grant:shared', later);
    for (let i = 0; i < 199; i += 1) transactions.begin();
    expect(transactions.find('grant:mine')).toBeUndefined();
    expect(transactions.find('grant:shared')).toBe(later);
    // A later step of the dropped one does not bring it back.
    transactions.link('grant:late', first);
    expect(transactions.find('grant:late')).toBeUndefined();
    expect(transactions.list()).toHaveLength(200);
  });
});
