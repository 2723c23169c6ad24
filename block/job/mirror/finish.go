package mirror

import (
	"context"

	"golang.org/x/sys/unix"

	"goemu/block"
	"goemu/block/job"
)

// Prepare implements job.Preparer: the target takes the place of the source.
func (m *mirror) Prepare(j *job.Job) error { return m.finish(j, false) }

// Abort implements job.Aborter.
func (m *mirror) Abort(j *job.Job) { _ = m.finish(j, true) }

// finish ends the job: with the change-over if it was completed and nothing failed.
func (m *mirror) finish(j *job.Job, abort bool) (err error) {
	if m.filter == nil {
		return nil // Abort after a failed Prepare
	}
	g := j.Graph()
	g.Ref(m.Source)
	g.Ref(m.Target)
	defer g.Unref(m.Source)
	defer g.Unref(m.Target)
	m.filter.DrainBegin() // until the filter is gone; what is held back goes on with the node that took its place
	if m.frozen {
		m.filter.Unfreeze(m.Target)
		m.frozen = false
	}
	m.Source.RemoveBitmap(m.bits)
	m.mu.Lock()
	over := m.complete && !abort
	m.mu.Unlock()
	j.RemoveNodes() // the target's new users would conflict with the job
	m.loosen(g)
	if over {
		err = m.setBacking(g)
		if err == nil {
			err = m.changeOver(g)
		}
		if err != nil { // what the graph has against it is told here: the job's own error is but a number
			g.Failure("%s", err)
			err = unix.EPERM
		}
	}
	m.releaseReplaced(g)
	if m.drained {
		m.drained = false
		m.Source.DrainEnd()
	}
	m.removeFilter(g)
	m.filter.DrainEnd()
	g.Unref(m.filter)
	m.filter = nil
	if m.targetWasRO && (!over || err != nil) {
		if e := g.SetReadOnly(context.Background(), m.Target, true); err == nil {
			err = e
		}
	}
	return err
}

// setBacking gives the target the backing file it is to have.
func (m *mirror) setBacking(g *block.Graph) error {
	if m.Backing != BackingOfSource || m.commit {
		return nil
	}
	want := m.Base
	if m.Sync == None {
		want = m.Source
	}
	n := m.Target.SkipFilters()
	var have *block.Node
	if c := n.COWChild(); c != nil {
		have = c.Node()
	}
	if have == want || want == nil && !n.Driver().SupportsBacking {
		return nil
	}
	return g.SetBacking(n, want)
}

// changeOver replaces the source, or what the user named, by the target.
func (m *mirror) changeOver(g *block.Graph) error {
	old := m.replaced
	if old == nil {
		old = m.Source
	}
	if m.Target.ReadOnly() != old.ReadOnly() {
		if err := g.SetReadOnly(context.Background(), m.Target, old.ReadOnly()); err != nil {
			return err
		}
	}
	if !m.Source.CanReplace(old) {
		return block.Errorf(unix.EPERM, "Can no longer replace '%s' by '%s', because it can no longer be guaranteed that doing so would not lead to an abrupt change of visible data",
			old.Name(), m.Target.Name())
	}
	return g.ReplaceNode(old, m.Target)
}

// releaseReplaced lets the node go that was, or would have been, replaced.
func (m *mirror) releaseReplaced(g *block.Graph) {
	if m.replaced != nil {
		m.replaced.UnblockAll(m.completing)
		g.Unref(m.replaced)
		m.replaced = nil
	}
}

// loosen makes the filter give its permissions up.
func (m *mirror) loosen(g *block.Graph) {
	m.top.gone = true
	if err := g.RefreshPerms(m.filter); err != nil {
		g.Messagef("%s", err)
	}
}

// removeFilter takes the filter out of the graph.
func (m *mirror) removeFilter(g *block.Graph) {
	m.top.gone = true
	if err := g.DropFilter(m.filter); err != nil {
		g.Messagef("%s", err)
	}
}
