"""What seldom changes is remembered in each process, and asked for again once its tables have changed.

Triggers in the database give a table a new version with every change of its rows, whoever made it. A request reads all
versions at once, the first time that it asks for something remembered, and so never takes what an earlier change made untrue.
"""
