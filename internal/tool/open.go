package tool

import (
	"goemu/block"
)

// Source names an image: by its filename and perhaps format, or by options (--image-opts).
type Source struct {
	Name      string
	Format    string
	ImageOpts bool
	Extra     *block.Options // more options for a filename, may be nil

	Mode         block.Mode
	Writethrough bool
	ForceShare   bool
	Resize       bool // the user may change the size
	NoShare      bool // nobody else may write meanwhile
}

// OptForceShare is the option of a node that others may write meanwhile.
const OptForceShare = "force-share"

// Open opens an image; nil after a message.
func (t *Tool) Open(s Source) *block.Backend {
	var o *block.Options
	name := s.Name
	if s.ImageOpts {
		if s.Format != "" {
			t.Errorf("--image-opts and --format are mutually exclusive")
			return nil
		}
		o = t.ParseOptions(s.Name, "file")
		name = ""
		if v, ok := o.Get(OptForceShare); ok && s.ForceShare && v != "on" {
			t.Errorf("--force-share/-U conflicts with image options")
			return nil
		}
	} else {
		if o = s.Extra; o == nil {
			o = block.NewOptions()
		}
		if name == "" && o.Len() == 0 { // an empty name, not none
			t.Errorf("Could not open '': The 'file' block driver requires a file name")
			return nil
		}
		if s.Format != "" {
			o.Set("driver", s.Format)
		}
	}
	if s.ForceShare {
		o.Set(OptForceShare, true)
	}
	b, err := t.OpenBackend(name, o, s.Mode, s.Resize, s.NoShare)
	if err != nil {
		t.Report("Could not open '"+s.Name+"': ", err)
		return nil
	}
	b.SetWriteCache(!s.Writethrough)
	return b
}

// OpenBackend opens a node and a backend with the permissions that the mode implies.
func (t *Tool) OpenBackend(name string, o *block.Options, m block.Mode, resize, noShare bool) (*block.Backend, error) {
	var perm block.Perm
	shared := block.Perm(block.PermAll)
	if !m.NoIO {
		perm |= block.PermConsistentRead
		if !m.ReadOnly {
			perm |= block.PermWrite
		}
	}
	if resize {
		perm |= block.PermResize
	}
	if noShare {
		shared = block.PermConsistentRead | block.PermWriteUnchanged
	}
	t.Graph.Lock()
	defer t.Graph.Unlock()
	n, err := t.Graph.Open(t.Ctx, name, o, m)
	if err != nil {
		return nil, err
	}
	return t.NewBackend(n, perm, shared)
}

// NewBackend makes a backend for a node; the caller's reference goes to it.
// Preconditions: the graph lock is held.
func (t *Tool) NewBackend(n *block.Node, perm, shared block.Perm) (*block.Backend, error) {
	b := t.Graph.NewBackend("", "", perm, shared)
	err := b.Insert(n)
	t.Graph.Unref(n)
	if err != nil {
		b.Delete()
		return nil, err
	}
	return b, nil
}

// Close closes what Open opened; nil is allowed.
func (t *Tool) Close(backends ...*block.Backend) {
	t.Graph.Lock()
	defer t.Graph.Unlock()
	for _, b := range backends {
		if b != nil {
			b.Delete()
		}
	}
}
