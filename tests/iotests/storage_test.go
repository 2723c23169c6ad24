package iotests

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

var (
	timestamp = regexp.MustCompile(`"timestamp": \{[^}]*\}`)
	greeting  = regexp.MustCompile(`"version": \{.*\}, "cap`)
)

// talk runs a storage daemon whose monitor reads the lines, and returns what it says.
func (s side) talk(t *testing.T, options string, lines ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "qemu-storage-daemon"), strings.Fields("--chardev stdio,id=m --monitor m "+options)...)
	cmd.Dir, cmd.Stdin = s.dir, strings.NewReader(strings.Join(lines, "\n"))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(t, cmd.Run(), "%s", &out)
	text := timestamp.ReplaceAllString(out.String(), `"timestamp": T`)
	return greeting.ReplaceAllString(text, `"version": V, "cap`)
}

// TestStorageMonitor compares what the storage daemon's monitor says.
func TestStorageMonitor(t *testing.T) {
	oracle := testprog.Need(t, "qemu-storage-daemon")
	theirs, ours := side{filepath.Dir(oracle), t.TempDir()}, side{build(t), t.TempDir()}
	const nodes = "--blockdev file,node-name=f0,filename=base.qcow2 --blockdev qcow2,node-name=base,file=f0 " +
		"--blockdev file,node-name=f1,filename=top.qcow2 --blockdev qcow2,node-name=top,file=f1,backing=base"
	const export = " --nbd-server addr.type=inet,addr.host=127.0.0.1,addr.port=0 --export nbd,id=e,node-name=base,writable=on"
	for _, c := range []struct {
		name, options string
		lines         []string
	}{
		{"stream against a writer", nodes + export, []string{`{"execute": "block-stream", "arguments": {"device": "top", "job-id": "j"}}`}},
		{"mirror against a writer", nodes + export, []string{`{"execute": "blockdev-mirror", "arguments": {"device": "top", "job-id": "j", "target": "base", "sync": "full"}}`}},
		{"nodes", nodes, []string{
			`{"execute": "blockdev-add", "arguments": {"driver": "null-co", "node-name": "n", "size": 4096}}`,
			`{"execute": "blockdev-add", "arguments": {"driver": "null-co", "node-name": "n"}}`,
			`{"execute": "blockdev-del", "arguments": {"node-name": "n"}}`,
			`{"execute": "blockdev-del", "arguments": {"node-name": "base"}}`,
			`{"execute": "block-export-add", "arguments": {"type": "nbd", "id": "e", "node-name": "top"}}`,
			`{"execute": "query-block-exports"}`, `{"execute": "query-jobs"}`, `{"execute": "cont"}`,
		}},
		{"reopening without options", nodes + " --object throttle-group,id=g --object throttle-group,id=h", []string{
			`{"execute": "blockdev-add", "arguments": {"driver": "throttle", "node-name": "t", "throttle-group": "g", "file": "top"}}`,
			`{"execute": "blockdev-reopen", "arguments": {"options": [{"driver": "throttle", "node-name": "t", "throttle-group": "h", "file": "top"}]}}`,
			`{"execute": "blockdev-add", "arguments": {"driver": "null-co", "node-name": "n", "size": 4096, "read-zeroes": true}}`,
			`{"execute": "blockdev-reopen", "arguments": {"options": [{"driver": "null-co", "node-name": "n", "read-zeroes": true}]}}`,
			`{"execute": "blockdev-add", "arguments": {"driver": "blkdebug", "node-name": "d", "image": "base", "align": 4096}}`,
			`{"execute": "blockdev-reopen", "arguments": {"options": [{"driver": "blkdebug", "node-name": "d", "image": "base"}]}}`,
		}},
		{"objects", "--object throttle-group,id=g,limits.iops-total=7", []string{
			`{"execute": "qom-list", "arguments": {"path": "/objects"}}`,
			`{"execute": "object-add", "arguments": {"qom-type": "throttle-group", "id": "h", "limits": {"bps-read": 5}}}`,
			`{"execute": "object-add", "arguments": {"qom-type": "throttle-group", "id": "h"}}`,
			`{"execute": "object-add", "arguments": {"qom-type": "nosuch", "id": "n"}}`,
			`{"execute": "qom-list", "arguments": {"path": "/nosuch"}}`,
			`{"execute": "qom-get", "arguments": {"path": "/objects/g", "property": "limits"}}`,
			`{"execute": "qom-set", "arguments": {"path": "/objects/h", "property": "limits", "value": {"bps-read": 8}}}`,
			`{"execute": "qom-get", "arguments": {"path": "h", "property": "limits"}}`,
			`{"execute": "blockdev-add", "arguments": {"driver": "throttle", "node-name": "t", "throttle-group": "h", "file": {"driver": "null-co"}}}`,
			`{"execute": "object-del", "arguments": {"id": "h"}}`, `{"execute": "blockdev-del", "arguments": {"node-name": "t"}}`,
			`{"execute": "object-del", "arguments": {"id": "h"}}`, `{"execute": "object-del", "arguments": {"id": "h"}}`,
			`{"execute": "qom-list-types", "arguments": {"implements": "throttle-group"}}`,
			`{"execute": "qom-list-properties", "arguments": {"typename": "nosuch"}}`,
		}},
		{"children of a quorum", nodes + " --blockdev null-co,node-name=n,size=1048576", []string{
			`{"execute": "blockdev-add", "arguments": {"driver": "quorum", "node-name": "q", "vote-threshold": 2, "children": ["top", {"driver": "null-co", "size": 1048576}]}}`,
			`{"execute": "x-blockdev-change", "arguments": {"parent": "q"}}`,
			`{"execute": "x-blockdev-change", "arguments": {"parent": "x", "node": "n"}}`,
			`{"execute": "x-blockdev-change", "arguments": {"parent": "q", "node": "x"}}`,
			`{"execute": "x-blockdev-change", "arguments": {"parent": "q", "node": "n", "child": "children.0"}}`,
			`{"execute": "x-blockdev-change", "arguments": {"parent": "q", "node": "base"}}`,
			`{"execute": "x-blockdev-change", "arguments": {"parent": "q", "node": "q"}}`,
			`{"execute": "x-blockdev-change", "arguments": {"parent": "top", "node": "n"}}`,
			`{"execute": "x-blockdev-change", "arguments": {"parent": "top", "child": "backing"}}`,
			`{"execute": "x-blockdev-change", "arguments": {"parent": "q", "child": "children.1"}}`,
			`{"execute": "x-blockdev-change", "arguments": {"parent": "q", "node": "n"}}`,
			`{"execute": "x-blockdev-change", "arguments": {"parent": "q", "node": "n"}}`,
			`{"execute": "blockdev-del", "arguments": {"node-name": "n"}}`,
			`{"execute": "x-blockdev-change", "arguments": {"parent": "q", "child": "children.1"}}`,
			`{"execute": "x-blockdev-change", "arguments": {"parent": "q", "child": "children.1"}}`,
			`{"execute": "x-blockdev-change", "arguments": {"parent": "q", "child": "children.2"}}`,
			`{"execute": "x-debug-query-block-graph"}`,
			`{"execute": "query-named-block-nodes", "arguments": {"flat": true}}`,
			`{"execute": "blockdev-reopen", "arguments": {"options": [{"driver": "quorum", "node-name": "q", "vote-threshold": 1, "children": ["top", "n"]}]}}`,
			`{"execute": "blockdev-del", "arguments": {"node-name": "q"}}`,
			`{"execute": "blockdev-del", "arguments": {"node-name": "n"}}`,
		}},
	} {
		var said [2]string
		for i, s := range []side{theirs, ours} {
			for _, line := range []string{"qemu-img create -q -f qcow2 base.qcow2 1M", "qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 top.qcow2"} {
				out, status := s.run(t, line)
				require.Zero(t, status, out)
			}
			said[i] = s.talk(t, c.options, append(append([]string{`{"execute": "qmp_capabilities"}`}, c.lines...), `{"execute": "quit"}`)...)
		}
		require.Equal(t, said[0], said[1], c.name)
	}
}

// TestStorageOptions compares what the storage daemon says about its options; the last one is always wrong.
func TestStorageOptions(t *testing.T) {
	oracle := testprog.Need(t, "qemu-storage-daemon")
	theirs, ours := side{filepath.Dir(oracle), t.TempDir()}, side{build(t), t.TempDir()}
	for _, s := range []side{theirs, ours} {
		out, status := s.run(t, "qemu-img create -q -f qcow2 top.qcow2 1M")
		require.Zero(t, status, out)
	}
	for _, options := range []string{
		"--blockdev qcow2,node-name=alone,file.driver=file,file.filename=top.qcow2,backing= --blockdev nosuch",
		"--blockdev null-co,node-name=n --blockdev null-co,node-name=n",
		"--blockdev null-co,node-name=n --export nbd,id=e,node-name=n",
		"--nbd-server addr.type=nosuch",
		"--monitor chardev=nosuch",
		"--object secret,id=s",
		"--nosuch",
		"operand",
	} {
		want, wantStatus := theirs.run(t, "qemu-storage-daemon "+options)
		got, status := ours.run(t, "qemu-storage-daemon "+options)
		require.Equal(t, want, got, options)
		require.Equal(t, wantStatus, status, options)
	}
}
