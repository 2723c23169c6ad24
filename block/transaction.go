package block

import "slices"

// transaction collects what is to be done when a change of the graph is accepted or refused as a whole.
type transaction struct {
	commits, aborts []func()
}

// onCommit has f called at the end if all went well, in order.
func (t *transaction) onCommit(f func()) { t.commits = append(t.commits, f) }

// onAbort has f called if something failed, in reverse order.
func (t *transaction) onAbort(f func()) { t.aborts = append(t.aborts, f) }

// finish ends the transaction, and returns the error that it is given.
func (t *transaction) finish(err error) error {
	list := t.commits
	if err != nil {
		list = t.aborts
		slices.Reverse(list)
	}
	for _, f := range list {
		f()
	}
	t.commits, t.aborts = nil, nil
	return err
}
