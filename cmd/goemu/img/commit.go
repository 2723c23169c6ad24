package img

import (
	"goemu/block"
	"goemu/block/img"
	"goemu/internal/tool"
)

func (c *command) commit(args []string) int {
	var format, base string
	cache := "writeback"
	var show, quiet, drop, imageOpts bool
	var rate int64
	ops, status, ok := c.parse(args, objectOption, text('f', "", &format), text('t', "", &cache), flag('d', "", &drop), flag('p', "", &show),
		flag('q', "", &quiet), flag(0, "image-opts", &imageOpts), c.size('r', "", "rate limit", &rate),
		option{'b', "", true, func(v string) bool { base, drop = v, true; return true }})
	if !ok {
		return status
	}
	if len(ops) != 1 {
		return c.Usage("Expecting one image file name")
	}
	mode := block.Mode{Unmap: true}
	through, ok := tool.SetCache(&mode, cache)
	if !ok {
		c.Errorf("Invalid cache option: %s", cache)
		return 1
	}
	b := c.Open(tool.Source{Name: ops[0], Format: format, ImageOpts: imageOpts, Mode: mode, Writethrough: through})
	if b == nil {
		return 1
	}
	progress := c.NewProgress(show && !quiet, 1)
	progress.Set(0)
	err := c.runCommit(b, ops[0], base, drop, rate, progress)
	progress.End()
	c.Close(b)
	if err != nil {
		c.Report("", err)
		return 1
	}
	c.quietf(quiet, "Image committed.\n")
	return 0
}

// runCommit commits into the base, or the image's backing file if that is empty.
func (c *command) runCommit(b *block.Backend, name, base string, drop bool, rate int64, progress *tool.Progress) error {
	c.Graph.Lock()
	target, err := img.CommitTarget(b.Node(), name, base)
	c.Graph.Unlock()
	if err != nil {
		return err
	}
	run := img.Commit{Top: b, Rate: rate, Progress: progress.Set, Empty: !drop}
	if err := run.Into(c.Ctx, target); err != nil {
		return err
	}
	progress.Set(100)
	return nil
}
