package img

import (
	"time"

	"goemu/block"
	"goemu/block/img"
	"goemu/internal/tool"

	"golang.org/x/sys/unix"
)

func (c *command) snapshot(args []string) int {
	var action byte
	var name string
	var quiet, imageOpts, share, mixed bool
	act := func(letter byte, arg bool) option {
		return option{letter, "", arg, func(v string) bool {
			mixed = action != 0
			action, name = letter, v
			return !mixed
		}}
	}
	ops, status, ok := c.parse(args, objectOption, act('l', false), act('a', true), act('c', true), act('d', true),
		flag('q', "", &quiet), flag('U', "force-share", &share), flag(0, "image-opts", &imageOpts))
	if mixed {
		return c.Usage("Cannot mix '-l', '-a', '-c', '-d'")
	}
	if !ok {
		return status
	}
	if len(ops) != 1 {
		return c.Usage("Expecting one image file name")
	}
	b := c.Open(tool.Source{Name: ops[0], ImageOpts: imageOpts, ForceShare: share, Mode: block.Mode{ReadOnly: action == 'l'}})
	if b == nil {
		return 1
	}
	defer c.Close(b)
	switch action {
	case 'l':
		if list, err := img.Snapshots(b.Node()); err == nil {
			c.PrintSnapshots(list)
		}
		return 0
	case 'c':
		return c.snapshotCreate(b.Node(), name)
	case 'a':
		return c.snapshotApply(b.Node(), name)
	case 'd':
		return c.snapshotDelete(b.Node(), name)
	}
	return 0
}

// maxSnapshotName is the most that a snapshot's name keeps.
const maxSnapshotName = 255

func (c *command) snapshotCreate(n *block.Node, name string) int {
	s, err := img.Snapshotter(n)
	if err == nil {
		now := time.Now().Truncate(time.Microsecond)
		err = s.SnapshotCreate(c.Ctx, &block.Snapshot{Name: name[:min(len(name), maxSnapshotName)], Date: now, ICount: 0})
	}
	if err != nil {
		c.Errorf("Could not create snapshot '%s': -%d (%s)", name, int(block.Errno(err)), tool.Reason(err))
		return 1
	}
	return 0
}

func (c *command) snapshotApply(n *block.Node, name string) int {
	s, err := img.Revertible(n)
	if err != nil {
		c.Report("Could not apply snapshot '"+name+"': ", err)
		return 1
	}
	if err = s.SnapshotGoto(c.Ctx, name); err != nil {
		if _, bare := err.(unix.Errno); !bare {
			c.Report("", err)
		}
		c.Report("Could not apply snapshot '"+name+"': ", block.Errnof(block.Errno(err), "Failed to load snapshot"))
		return 1
	}
	return 0
}

func (c *command) snapshotDelete(n *block.Node, name string) int {
	if s, err := img.Snapshotter(n); err == nil {
		list, _ := s.Snapshots() // a list that can't be read has no such snapshot
		for _, e := range list {
			if e.Name != name { // an ID does not do, so that the wrong one is not lost
				continue
			}
			if err := s.SnapshotDelete(c.Ctx, e.ID, e.Name); err != nil {
				c.Report("Could not delete snapshot '"+name+"': ", err)
				return 1
			}
			return 0
		}
	}
	c.Errorf("Could not delete snapshot '%s': snapshot not found", name)
	return 1
}

// loadSnapshot makes an image show a snapshot; false after a message.
func (c *command) loadSnapshot(b *block.Backend, p snapshotParam) bool {
	if err := c.tryLoadSnapshot(b.Node(), p); err != nil {
		c.Report("Failed to load snapshot: ", err)
		return false
	}
	return true
}

func (c *command) tryLoadSnapshot(n *block.Node, p snapshotParam) error {
	s, ok := n.State().(block.Snapshotter)
	switch {
	case !ok:
		return block.Errorf(unix.ENOTSUP, "Block format '%s' used by node '%s' does not support feature 'temporarily load internal snapshot'", n.DriverName(), "")
	case p.any == "" && p.id == "" && p.name == "":
		return block.Errorf(unix.EINVAL, "snapshot_id and name are both NULL")
	case p.any == "":
		return s.SnapshotLoadTmp(c.Ctx, p.id, p.name)
	}
	err := s.SnapshotLoadTmp(c.Ctx, p.any, "")
	if block.Errno(err) == unix.ENOENT || block.Errno(err) == unix.EINVAL {
		err = s.SnapshotLoadTmp(c.Ctx, "", p.any)
	}
	return err
}
