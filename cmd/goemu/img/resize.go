package img

import (
	"goemu/block"
	"goemu/internal/tool"
)

func (c *command) resize(args []string) int {
	if len(args) < 3 {
		return c.Usage("Not enough arguments")
	}
	// The size goes first, so that a negative one is no option.
	size := args[len(args)-1]
	var format string
	var quiet, imageOpts, shrink bool
	prealloc := block.PreallocOff
	ops, status, ok := c.parse(args[:len(args)-1], objectOption, text('f', "", &format), flag('q', "", &quiet), flag(0, "image-opts", &imageOpts),
		flag(0, "shrink", &shrink),
		option{0, "preallocation", true, func(v string) (ok bool) {
			if prealloc, ok = block.ParsePrealloc(v); !ok {
				c.Errorf("Invalid preallocation mode '%s'", v)
			}
			return ok
		}})
	if !ok {
		return status
	}
	if len(ops) != 1 {
		return c.Usage("Expecting image file name and size")
	}
	relative := int64(0)
	switch {
	case size != "" && size[0] == '+':
		relative, size = 1, size[1:]
	case size != "" && size[0] == '-':
		relative, size = -1, size[1:]
	}
	n, err := tool.ParseSizeOption("size", size)
	if err != nil {
		c.Report("", err)
		return 1
	}
	b := c.Open(tool.Source{Name: ops[0], Format: format, ImageOpts: imageOpts, Resize: true})
	if b == nil {
		return 1
	}
	defer c.Close(b)
	current, err := b.Length(c.Ctx)
	if err != nil {
		c.Errorf("Failed to inquire current image length: %s", tool.Reason(err))
		return 1
	}
	total := int64(n)
	if relative != 0 {
		total = current + int64(n)*relative
	}
	switch {
	case total <= 0:
		c.Errorf("New image size must be positive")
		return 1
	case total <= current && prealloc != block.PreallocOff:
		c.Errorf("Preallocation can only be used for growing images")
		return 1
	case total < current && !shrink:
		c.Errorf("Use the --shrink option to perform a shrink operation.")
		c.Warnf("Shrinking an image will delete all data beyond the shrunken image's end. Before performing such an operation, make sure there is no important data there.")
		return 1
	}
	if err := b.Truncate(c.Ctx, total, true, prealloc, false); err != nil {
		c.Report("", err)
		return 1
	}
	c.quietf(quiet, "Image resized.\n")
	return 0
}
