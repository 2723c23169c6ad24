package img

import (
	"goemu/block"
	"goemu/block/img"
	"goemu/internal/tool"

	"golang.org/x/sys/unix"
)

// rebaseArgs are the arguments of rebase.
type rebaseArgs struct {
	name, format, base, baseFormat string
	hasBase, unsafe, share         bool
	source                         block.Mode
}

func (c *command) rebase(args []string) int {
	var a rebaseArgs
	cache, srcCache := "writeback", "writeback"
	var show, quiet, imageOpts bool
	ops, status, ok := c.parse(args, objectOption, text('f', "", &a.format), text('F', "", &a.baseFormat), text('t', "", &cache), text('T', "", &srcCache),
		flag('u', "", &a.unsafe), flag('p', "", &show), flag('q', "", &quiet), flag('U', "force-share", &a.share), flag(0, "image-opts", &imageOpts),
		option{'b', "", true, func(v string) bool { a.base, a.hasBase = v, true; return true }})
	if !ok {
		return status
	}
	if len(ops) != 1 {
		return c.Usage("Expecting one image file name")
	}
	if !a.unsafe && !a.hasBase {
		return c.Usage("Must specify backing file (-b) or use unsafe mode (-u)")
	}
	a.name = ops[0]
	progress := c.NewProgress(show && !quiet, 2)
	defer progress.End()
	progress.Set(0)
	mode := block.Mode{NoBacking: a.unsafe}
	through, ok := tool.SetCache(&mode, cache)
	if !ok {
		c.Errorf("Invalid cache option: %s", cache)
		return 1
	}
	a.source.ReadOnly = true
	if _, ok := tool.SetCache(&a.source, srcCache); !ok {
		c.Errorf("Invalid source cache option: %s", srcCache)
		return 1
	}
	b := c.Open(tool.Source{Name: a.name, Format: a.format, ImageOpts: imageOpts, Mode: mode, Writethrough: through})
	if b == nil {
		return 1
	}
	defer c.Close(b)
	if a.baseFormat != "" && c.Graph.FindDriver(a.baseFormat) == nil {
		c.Errorf("Invalid format name: '%s'", a.baseFormat)
		return 1
	}
	if !a.unsafe {
		if err := c.safeRebase(b, &a, progress); err != nil {
			c.Report("", err)
			return 1
		}
	}
	status = c.changeBacking(b, &a)
	progress.Set(100)
	return status
}

// safeRebase copies what the new backing file does not have.
func (c *command) safeRebase(b *block.Backend, a *rebaseArgs, progress *tool.Progress) error {
	r := img.Rebase{Image: b, Name: a.name, NewName: a.base, Progress: progress.Add}
	n := b.Node().SkipFilters()
	var err error
	if cow := n.COWChild(); cow != nil {
		if r.Old, err = c.shareNode(cow.Node()); err != nil {
			return block.Prepend(err, "Could not reuse old backing file '"+cow.Node().Filename()+"': ")
		}
		defer c.Close(r.Old)
	}
	if a.base != "" {
		if r.New, r.Prefix, err = c.newBacking(b.Node(), a); err != nil {
			return err
		}
		defer c.Close(r.New)
	}
	return r.Run(c.Ctx)
}

// shareNode makes one more backend for a node, to read it.
func (c *command) shareNode(n *block.Node) (*block.Backend, error) {
	c.Graph.Lock()
	defer c.Graph.Unlock()
	c.Graph.Ref(n)
	return c.NewBackend(n, block.PermConsistentRead, block.PermAll)
}

// newBacking opens the new backing file, or finds it in the chain.
func (c *command) newBacking(n *block.Node, a *rebaseArgs) (b *block.Backend, prefix *block.Node, err error) {
	c.Graph.Lock()
	n.RefreshFilename()
	overlay := n.ExactFilename()
	if overlay == "" {
		overlay = n.Filename()
	}
	full, err := block.FullBackingFilename(overlay, a.base)
	if err != nil {
		c.Graph.Unlock()
		return nil, nil, block.Prepend(err, "Could not resolve backing filename: ")
	}
	prefix = img.FindBacking(n, full)
	c.Graph.Unlock()
	if prefix != nil {
		if b, err = c.shareNode(prefix); err != nil {
			return nil, nil, block.Prepend(err, "Could not reuse backing file '"+a.base+"': ")
		}
		return b, prefix, nil
	}
	o := block.NewOptions()
	if a.baseFormat != "" {
		o.Set("driver", a.baseFormat)
	}
	if a.share {
		o.Set(tool.OptForceShare, true)
	}
	if b, err = c.OpenBackend(full, o, a.source, false, false); err != nil {
		return nil, nil, block.Prepend(err, "Could not open new backing file '"+a.base+"': ")
	}
	return b, nil, nil
}

// changeBacking writes the new backing file's name into the image.
func (c *command) changeBacking(b *block.Backend, a *rebaseArgs) int {
	n := b.Node().SkipFilters()
	err := img.ChangeBacking(c.Ctx, n, a.base, a.baseFormat, a.base != "")
	switch no := block.Errno(err); {
	case err == nil:
		return 0
	case no == unix.ENOSPC:
		c.Errorf("Could not change the backing file to '%s': No space left in the file header", a.base)
	case no == unix.EINVAL && a.hasBase && a.baseFormat == "":
		c.Errorf("Could not change the backing file to '%s': backing format must be specified", a.base)
	default:
		name := a.base
		if !a.hasBase {
			name = "(null)"
		}
		c.Errorf("Could not change the backing file to '%s': %s", name, tool.Reason(err))
	}
	return 1
}
