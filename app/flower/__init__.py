"""Our pages in Flower's own application: one login, one address, one navigation bar.

application  Flower with our pages and rules    templates    our templates beside Flower's
access       who somebody is, who may change    parameters   what a request asks for, checked
answers      the base of all our handlers       shown        rows as JSON, masked unless asked
dead_letters the table, retry, edit, discard    pipeline     numbers and charts
conversation one lane's events, pause, resume   stock        Flower's own views where ours differ
"""
