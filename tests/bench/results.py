# SPDX-License-Identifier: GPL-2.0-or-later
"""The files of measured values: JSON with one record per line.

The programs measure one result per round: a dict with the number of its round.
A file holds one record for all results that differ only in their round and in
their values. Its member "round" lists the rounds. A member that is a list has
one value for each of them, null where the round has none; any other member has
the same value in all rounds.
"""

import json


def _join(results):
    """The record of results that belong together"""
    record = {}
    for key in dict.fromkeys(key for r in results for key in r):
        values = [r.get(key) for r in results]
        same = key != 'round' and all(v == values[0] for v in values)
        record[key] = values[0] if same else values
    return record


def _split(record):
    """The results of a record"""
    for i in range(len(record['round'])):
        values = {key: value[i] if isinstance(value, list) else value
                  for key, value in record.items()}
        yield {key: v for key, v in values.items() if v is not None}


def dumps(measured, keys):
    """The text of a file. measured: the list "results" and other members;
    results whose members keys are equal make one record."""
    groups = {}
    for r in measured['results']:
        groups.setdefault(tuple(r.get(key) for key in keys), []).append(r)
    lines = [f'{json.dumps(name)}: {json.dumps(value)},'
             for name, value in measured.items() if name != 'results']
    records = ',\n'.join(json.dumps(_join(g)) for g in groups.values())
    return '\n'.join(['{', *lines, '"results": [', records, ']', '}', ''])


def loads(text):
    """What dumps() wrote, with the results in the order of their rounds"""
    measured = json.loads(text)
    split = [r for record in measured['results'] for r in _split(record)]
    measured['results'] = sorted(split, key=lambda r: r['round'])
    return measured
