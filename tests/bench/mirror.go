package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// mirrorWork is a mirror job of the storage daemon between images of one format.
type mirrorWork struct{ name, format string }

func (w mirrorWork) String() string { return w.name }

var mirrorWorks = []mirrorWork{{"mirror-raw", "raw"}, {"mirror-qcow2", "qcow2"}}

// mirrors measures from the start of a job until it is ready, and compares what came out.
func mirrors(o options, dir, in string, size int64, pair [2]*toolset) (rows []row, err error) {
	for _, w := range mirrorWorks {
		if !o.selected(w.name, imageGroup) {
			continue
		}
		r, err := alternate(o.runs, pair, func(p *toolset) ([]result, error) {
			ns, err := w.run(p, dir, in, size)
			return one(w.name, imageGroup, ns), err
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", w.name, err)
		}
		rows = append(rows, withPeaks(r, pair)...)
	}
	return rows, nil
}

func (w mirrorWork) run(p *toolset, dir, in string, size int64) (float64, error) {
	source, target, socket := in+"."+w.format, filepath.Join(dir, "mirror."+w.format), filepath.Join(dir, "daemon.qmp")
	if err := command("qemu-img", "create", "-q", "-f", w.format, target, strconv.FormatInt(size, 10)); err != nil {
		return 0, err
	}
	node := func(name, file string) string {
		return fmt.Sprintf("driver=%s,node-name=%s,file.driver=file,file.filename=%s,discard=unmap", w.format, name, file)
	}
	cmd := exec.Command(p.daemon[0], append(slices.Clone(p.daemon[1:]), "--chardev", "socket,id=c,server=on,wait=off,path="+socket, "--monitor", "chardev=c",
		"--blockdev", node("from", source), "--blockdev", node("to", target))...)
	m, err := control(cmd, socket)
	if err != nil {
		return 0, err
	}
	defer m.close()
	start := time.Now()
	if _, err := m.ask(`{"execute": "blockdev-mirror", "arguments": {"job-id": "j", "device": "from", "target": "to", "sync": "full"}}`); err != nil {
		return 0, err
	}
	if err := m.await("BLOCK_JOB_READY"); err != nil {
		return 0, err
	}
	took := time.Since(start)
	if _, err := m.ask(`{"execute": "block-job-complete", "arguments": {"device": "j"}}`); err != nil {
		return 0, err
	}
	if err := m.await("BLOCK_JOB_COMPLETED"); err != nil {
		return 0, err
	}
	m.close()
	p.peak.tool = max(p.peak.tool, resident(cmd))
	if err := command("qemu-img", "compare", "-f", "raw", "-F", w.format, in+".raw", target); err != nil {
		return 0, err
	}
	return float64(took), removeAll(target)
}
