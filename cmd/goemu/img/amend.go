package img

import (
	"strings"

	"goemu/block"
	"goemu/internal/tool"
)

func (c *command) amend(args []string) int {
	var format, list string
	cache := "writeback"
	var quiet, show, imageOpts, force bool
	ops, status, ok := c.parse(args, objectOption, c.list(&list), text('f', "", &format), text('t', "", &cache), flag('p', "", &show),
		flag('q', "", &quiet), flag(0, "image-opts", &imageOpts), flag(0, "force", &force))
	if !ok {
		return status
	}
	if list == "" {
		return c.Usage("Must specify options (-o)")
	}
	progress := c.NewProgress(show && !quiet, 1)
	defer progress.End()
	if format != "" && tool.HasHelp(list) {
		return c.amendHelp(format)
	}
	if len(ops) != 1 {
		c.Errorf("Expecting one image file name")
		return 1
	}
	mode := block.Mode{}
	through, ok := tool.SetCache(&mode, cache)
	if !ok {
		c.Errorf("Invalid cache option: %s", cache)
		return 1
	}
	b := c.Open(tool.Source{Name: ops[0], Format: format, ImageOpts: imageOpts, Mode: mode, Writethrough: through})
	if b == nil {
		return 1
	}
	defer c.Close(b)
	d := b.Node().Driver()
	if tool.HasHelp(list) {
		return c.amendHelp(d.Name)
	}
	a, ok := b.Node().State().(block.Amender)
	if !ok {
		c.Errorf("Format driver '%s' does not support option amendment", d.Name)
		return 1
	}
	o := tool.NewCreateOptions(d.AmendOptions)
	if err := o.Parse(list); err != nil {
		if tool.NewCreateOptions(d.AmendOptions, d.CreateOptions).Parse(list) == nil {
			err = &block.Error{Errno: block.Errno(err), Text: err.Error(),
				Hint: strings.TrimPrefix(block.HintOf(err)+"\nThis option is only supported for image creation", "\n")}
		}
		c.Report("", err)
		return 1
	}
	progress.Set(0)
	values := o.Options()
	if o.Has(optSize) {
		values.Set(optSize, uint64(o.Size(optSize, 0)))
	}
	guard, guarded := a.(block.AmendBracketer)
	locked := func(f func() error) error {
		c.Graph.Lock()
		defer c.Graph.Unlock()
		return f()
	}
	if guarded {
		if err := locked(guard.AmendBegin); err != nil {
			c.Report("", err)
			return 1
		}
	}
	err := a.Amend(c.Ctx, values, force, func(done, total int64) {
		progress.Set(float32(100 * float64(done) / float64(max(total, 1))))
	})
	progress.Set(100)
	if guarded {
		if e := locked(guard.AmendEnd); err == nil {
			err = e
		}
	}
	if err != nil {
		c.Report("", err)
		return 1
	}
	return 0
}

// amendHelp answers -o help.
func (c *command) amendHelp(format string) int {
	d := c.format(format)
	if d == nil {
		return 1
	}
	if len(d.AmendOptions) == 0 {
		c.Errorf("Format driver '%s' does not support option amendment", format)
		return 1
	}
	c.Printf("Amend options for '%s':\n", format)
	tool.NewCreateOptions(d.AmendOptions).Help(c.Out)
	return 0
}
