package img

import (
	"goemu/block"
	"goemu/internal/tool"

	"golang.org/x/sys/unix"
)

// Exit statuses of check.
const (
	checkFailed      = 1
	checkCorrupt     = 2
	checkLeaks       = 3
	checkUnsupported = 63
)

var repairs = map[string]block.CheckFix{"leaks": block.FixLeaks, "all": block.FixLeaks | block.FixErrors}

func (c *command) check(args []string) int {
	var format, output, repair string
	cache := "writeback"
	var quiet, imageOpts, share, badRepair bool
	mode := block.Mode{ReadOnly: true, Check: true}
	var fix block.CheckFix
	ops, status, ok := c.parse(args, objectOption, text('f', "format", &format), text(0, "output", &output), text('T', "", &cache),
		flag('q', "", &quiet), flag('U', "force-share", &share), flag(0, "image-opts", &imageOpts),
		option{'r', "repair", true, func(v string) bool {
			mode.ReadOnly = false
			f, known := repairs[v]
			fix, badRepair, repair = f, !known, v
			return known
		}})
	if badRepair {
		return c.Usage("Unknown option value for -r (expecting 'leaks' or 'all'): %s", repair)
	}
	if !ok {
		return status
	}
	if len(ops) != 1 {
		return c.Usage("Expecting one image file name")
	}
	json, ok := c.jsonOutput(output)
	if !ok {
		return checkFailed
	}
	through, ok := tool.SetCache(&mode, cache)
	if !ok {
		c.Errorf("Invalid source cache option: %s", cache)
		return checkFailed
	}
	b := c.Open(tool.Source{Name: ops[0], Format: format, ImageOpts: imageOpts, ForceShare: share, Mode: mode, Writethrough: through})
	if b == nil {
		return checkFailed
	}
	defer c.Close(b)
	return c.runCheck(b, ops[0], fix, json, quiet)
}

// runCheck checks, and after repairs once more.
func (c *command) runCheck(b *block.Backend, name string, fix block.CheckFix, json, quiet bool) int {
	checker, ok := b.Node().State().(block.Checker)
	if !ok {
		c.Errorf("This image format does not support checks")
		return checkUnsupported
	}
	r, err := checker.Check(c.Ctx, fix)
	if err != nil && block.Errno(err) == unix.ENOTSUP {
		c.Errorf("This image format does not support checks")
		return checkUnsupported
	}
	if err == nil && (r.CorruptionsFixed != 0 || r.LeaksFixed != 0) {
		if !json {
			c.quietf(quiet, "The following inconsistencies were found and repaired:\n\n    %d leaked clusters\n    %d corruptions\n\nDouble checking the fixed image now...\n",
				r.LeaksFixed, r.CorruptionsFixed)
		}
		corruptions, leaks := r.CorruptionsFixed, r.LeaksFixed
		r, err = checker.Check(c.Ctx, 0)
		r.CorruptionsFixed, r.LeaksFixed = corruptions, leaks
	}
	switch {
	case err != nil:
		c.Errorf("Check failed: %s", tool.Reason(err))
		return checkFailed
	case json:
		c.quietf(quiet, "%s\n", tool.PrettyJSON(checkMembers(&r, name, b.Node().DriverName())))
	default:
		c.printCheck(&r, quiet)
	}
	switch {
	case r.CheckErrors != 0:
		c.Errorf("Check failed")
		return checkFailed
	case r.Corruptions != 0:
		return checkCorrupt
	case r.Leaks != 0:
		return checkLeaks
	}
	return 0
}

// checkMembers are the members of QEMU's ImageCheck.
func checkMembers(r *block.CheckResult, name, format string) []block.Member {
	m := []block.Member{{Name: "filename", Value: name}, {Name: "format", Value: format}, {Name: "check-errors", Value: r.CheckErrors}}
	for _, v := range []struct {
		name string
		n    int64
	}{
		{"image-end-offset", r.ImageEndOffset}, {"corruptions", int64(r.Corruptions)}, {"leaks", int64(r.Leaks)},
		{"corruptions-fixed", int64(r.CorruptionsFixed)}, {"leaks-fixed", int64(r.LeaksFixed)},
		{"total-clusters", r.TotalClusters}, {"allocated-clusters", r.AllocatedClusters},
		{"fragmented-clusters", r.FragmentedClusters}, {"compressed-clusters", r.CompressedClusters},
	} {
		if v.n != 0 {
			m = append(m, block.Member{Name: v.name, Value: v.n})
		}
	}
	return m
}

// printCheck writes the form for people.
func (c *command) printCheck(r *block.CheckResult, quiet bool) {
	if r.Corruptions == 0 && r.Leaks == 0 && r.CheckErrors == 0 {
		c.quietf(quiet, "No errors were found on the image.\n")
	}
	if r.Corruptions != 0 {
		c.quietf(quiet, "\n%d errors were found on the image.\nData may be corrupted, or further writes to the image may corrupt it.\n", r.Corruptions)
	}
	if r.Leaks != 0 {
		c.quietf(quiet, "\n%d leaked clusters were found on the image.\nThis means waste of disk space, but no harm to data.\n", r.Leaks)
	}
	if r.CheckErrors != 0 {
		c.quietf(quiet, "\n%d internal errors have occurred during the check.\n", r.CheckErrors)
	}
	if r.TotalClusters != 0 && r.AllocatedClusters != 0 {
		allocated := float64(r.AllocatedClusters)
		c.quietf(quiet, "%d/%d = %0.2f%% allocated, %0.2f%% fragmented, %0.2f%% compressed clusters\n", r.AllocatedClusters, r.TotalClusters,
			allocated*100/float64(r.TotalClusters), float64(r.FragmentedClusters)*100/allocated, float64(r.CompressedClusters)*100/allocated)
	}
	if r.ImageEndOffset != 0 {
		c.quietf(quiet, "Image end offset: %d\n", r.ImageEndOffset)
	}
}
