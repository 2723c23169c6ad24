package img

import (
	"context"
	"fmt"

	"goemu/block"
	"goemu/block/bitmap"
	"goemu/internal/tool"

	"golang.org/x/sys/unix"
)

// bitmapAction is one thing to be done with a bitmap.
type bitmapAction struct {
	name   string
	source string // of merge
}

// bitmapActions are the options of actions, in the order of messages.
var bitmapActions = []string{"add", "remove", "clear", "enable", "disable"}

func (c *command) bitmap(args []string) int {
	var format, srcFormat, source string
	var imageOpts, add, merge bool
	var granularity int64
	var actions []bitmapAction
	options := []option{objectOption, text('b', "source-file", &source), text('f', "", &format), text('F', "source-format", &srcFormat),
		c.size('g', "granularity", "granularity", &granularity), flag(0, "image-opts", &imageOpts),
		{0, "merge", true, func(v string) bool { actions, merge = append(actions, bitmapAction{"merge", v}), true; return true }}}
	for _, name := range bitmapActions {
		options = append(options, option{0, name, false, func(string) bool {
			actions = append(actions, bitmapAction{name: name})
			add = add || name == "add"
			return true
		}})
	}
	ops, status, ok := c.parse(args, options...)
	if !ok {
		return status
	}
	switch {
	case len(actions) == 0:
		c.Errorf("Need at least one of --add, --remove, --clear, --enable, --disable, or --merge")
		return 1
	case granularity != 0 && !add:
		c.Errorf("granularity only supported with --add")
		return 1
	case srcFormat != "" && source == "":
		c.Errorf("-F only supported with -b")
		return 1
	case source != "" && !merge:
		c.Errorf("Merge bitmap source file only supported with --merge")
		return 1
	case len(ops) != 2:
		c.Errorf("Expecting filename and bitmap name")
		return 1
	}
	b := c.Open(tool.Source{Name: ops[0], Format: format, ImageOpts: imageOpts, Mode: block.Mode{NoBacking: true}})
	if b == nil {
		return 1
	}
	defer c.Close(b)
	from := b
	if source != "" {
		if from = c.Open(tool.Source{Name: source, Format: srcFormat, Mode: block.Mode{ReadOnly: true, NoBacking: true}}); from == nil {
			return 1
		}
		defer c.Close(from)
	}
	for _, a := range actions {
		if err := applyBitmap(c.Ctx, b.Node(), from.Node(), ops[1], a, granularity); err != nil {
			c.Report(fmt.Sprintf("Operation %s on bitmap %s failed: ", a.name, ops[1]), err)
			return 1
		}
	}
	return 0
}

// lookupBitmap finds a bitmap.
func lookupBitmap(n *block.Node, name string) (*bitmap.Bitmap, error) {
	if b := n.FindBitmap(name); b != nil {
		return b, nil
	}
	return nil, block.Errorf(unix.EINVAL, "Dirty bitmap '%s' not found", name)
}

// applyBitmap does one action.
func applyBitmap(ctx context.Context, n, from *block.Node, name string, a bitmapAction, granularity int64) error {
	if a.name == "add" {
		_, err := addBitmap(ctx, n, name, granularity, false)
		return err
	}
	b, err := lookupBitmap(n, name)
	if err != nil {
		return err
	}
	switch a.name {
	case "remove":
		return removeBitmap(ctx, n, b)
	case "clear":
		if err := block.CheckBitmap(b, block.BitmapChange); err != nil {
			return err
		}
		b.Clear()
	case "merge":
		src, err := lookupBitmap(from, a.source)
		if err != nil {
			return err
		}
		_, err = block.MergeBitmap(b, src)
		return err
	default:
		if err := block.CheckBitmap(b, block.BitmapRead); err != nil {
			return err
		}
		b.Change(func(s *bitmap.State) { s.Enabled = a.name == "enable" })
	}
	return nil
}

// addBitmap adds a persistent bitmap; without granularity it gets the default one.
func addBitmap(ctx context.Context, n *block.Node, name string, granularity int64, disabled bool) (*bitmap.Bitmap, error) {
	if name == "" {
		return nil, block.Errorf(unix.EINVAL, "Bitmap name cannot be empty")
	}
	if granularity == 0 {
		granularity = n.DefaultBitmapGranularity()
	} else if granularity = int64(uint32(granularity)); granularity < bitmap.MinGranularity || granularity&(granularity-1) != 0 {
		return nil, block.Errorf(unix.EINVAL, "Granularity must be power of 2 and at least %d", bitmap.MinGranularity)
	}
	if err := n.CanStoreBitmap(ctx, name, granularity); err != nil {
		return nil, err
	}
	b, err := n.AddBitmap(ctx, name, granularity)
	if err != nil {
		return nil, err
	}
	b.Change(func(s *bitmap.State) { s.Persistent, s.Enabled = true, !disabled })
	return b, nil
}

func removeBitmap(ctx context.Context, n *block.Node, b *bitmap.Bitmap) error {
	if err := block.CheckBitmap(b, block.BitmapNotBusy|block.BitmapWritable); err != nil {
		return err
	}
	if s, ok := n.State().(block.BitmapStorer); ok && b.State().Persistent {
		if err := s.RemoveBitmap(ctx, b.Name()); err != nil {
			return err
		}
	}
	n.RemoveBitmap(b)
	return nil
}

// bitmapSupporter is a format which cannot store bitmaps in every image.
type bitmapSupporter interface{ SupportsBitmaps() bool }

// storesBitmaps tells whether a node can have persistent bitmaps.
func storesBitmaps(n *block.Node) bool {
	if s, ok := n.State().(bitmapSupporter); ok {
		return s.SupportsBitmaps()
	}
	_, ok := n.State().(block.BitmapStorer)
	return ok
}

// checkBitmaps tells why the persistent bitmaps of an image cannot be copied.
func (c *command) checkBitmaps(n *block.Node, skipBroken bool) error {
	if !storesBitmaps(n) {
		return block.Errorf(unix.ENOTSUP, "Source lacks bitmap support")
	}
	for _, b := range n.Bitmaps() {
		if s := b.State(); s.Persistent && s.Inconsistent && !skipBroken {
			return &block.Error{Errno: unix.EINVAL, Text: fmt.Sprintf("Cannot copy inconsistent bitmap '%s'", b.Name()),
				Hint: "Try --skip-broken-bitmaps, or use 'qemu-img bitmap --remove' to delete it"}
		}
	}
	return nil
}

// copyBitmaps copies the persistent bitmaps of one image to another.
func (c *command) copyBitmaps(src, dst *block.Node, skipBroken bool) error {
	for _, b := range src.Bitmaps() {
		s := b.State()
		switch {
		case !s.Persistent:
			continue
		case s.Inconsistent && skipBroken:
			c.Warnf("Skipping inconsistent bitmap '%s'", b.Name())
			continue
		}
		copied, err := addBitmap(c.Ctx, dst, b.Name(), b.Granularity(), !s.Enabled)
		if err != nil {
			return block.Prepend(err, "Failed to create bitmap "+b.Name()+": ")
		}
		if _, err := block.MergeBitmap(copied, b); err != nil {
			removeBitmap(c.Ctx, dst, copied)
			return block.Prepend(err, "Failed to populate bitmap "+b.Name()+": ")
		}
	}
	return nil
}
