package vhostuser

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// script is a channel whose other side says what is written down, whatever it is asked.
type script struct {
	said []byte
	sent bytes.Buffer
	fds  int
	over bool
}

func (s *script) send(p []byte, fds []int) error {
	if s.over {
		return errClosed
	}
	s.sent.Write(p)
	s.fds += len(fds)
	return nil
}

func (s *script) receive(p []byte) error {
	if s.over || len(p) > len(s.said) {
		return errors.New("the end")
	}
	s.said = s.said[copy(p, s.said):]
	return nil
}

func (s *script) cut() { s.over = true }

// answer is a message of the other side.
func answer(request, flags uint32, payload ...byte) (b []byte) {
	for _, v := range []uint32{request, flags, uint32(len(payload))} {
		b = le.AppendUint32(b, v)
	}
	return append(b, payload...)
}

func u64(v uint64) []byte { return le.AppendUint64(nil, v) }

const good = flagVersion | flagReply

// greeting is what a server says that has everything.
func greeting() []byte {
	return bytes.Join([][]byte{answer(getFeatures, good, u64(1<<FeatureProtocol|1<<FeatureLogAll)...), answer(getProtocolFeatures, good, u64(^uint64(0))...),
		answer(getQueueNum, good, u64(4)...)}, nil)
}

func TestSession(t *testing.T) {
	ch := &script{said: append(greeting(), bytes.Join([][]byte{answer(setMemTable, good, u64(0)...), answer(getVringBase, good, 1, 0, 0, 0, 7, 0, 0, 0)}, nil)...)}
	s, err := begin(ch)
	require.NoError(t, err)
	require.EqualValues(t, supported, s.Protocol)
	require.EqualValues(t, 4, s.Queues)
	ch.sent.Reset()
	require.NoError(t, s.SetFeatures(1<<32))
	require.Equal(t, append(answer(setFeatures, flagVersion), u64(1<<32|1<<FeatureProtocol)...)[headerSize:], ch.sent.Bytes()[headerSize:])
	require.NoError(t, s.SetMemory([]Region{{0, 0x1000, 0x7000, 0, 1}, {0x100000, 0x1000, 0x9000, 0x2000, 1}}))
	require.NoError(t, s.StartRing(&Ring{Index: 1, Size: 256, Kick: 3, Call: 4}, true))
	require.Equal(t, 4, ch.fds)
	next, err := s.StopRing(1)
	require.NoError(t, err)
	require.EqualValues(t, 7, next)
	require.NoError(t, s.Err())
	_, err = s.StopRing(1)
	require.Error(t, err)
	require.True(t, ch.over)
	require.Equal(t, err, s.SetFeatures(0), "a session that has failed")
}

// TestNonsense: answers that do not fit end the session.
func TestNonsense(t *testing.T) {
	for _, c := range []struct {
		name string
		said []byte
		want string
	}{
		{"another request", answer(2, good, u64(0)...), "Received unexpected msg type. Expected 1 received 2"},
		{"no reply", answer(1, flagVersion, u64(0)...), "Failed to read msg header. Flags 0x1 instead of 0x5."},
		{"another version", answer(1, flagReply|2, u64(0)...), "Failed to read msg header. Flags 0x6 instead of 0x5."},
		{"too short", answer(1, good, 0), "Received bad msg size. Request 1, size 1"},
		{"too long", answer(1, good, make([]byte, 9)...), "Received bad msg size. Request 1, size 9"},
		{"giant", le.AppendUint32(answer(1, good)[:8], 0xffffffff), "Received bad msg size. Request 1, size 4294967295"},
		{"a part", answer(1, good, u64(0)...)[:15], "the end"},
		{"nothing", nil, "the end"},
	} {
		ch := &script{said: c.said}
		_, err := begin(ch)
		require.EqualError(t, err, c.want, c.name)
		require.True(t, ch.over, c.name)
	}
}

// FuzzSession lets a fuzzer be the server.
func FuzzSession(f *testing.F) {
	f.Add(append(greeting(), bytes.Join([][]byte{answer(setMemTable, good, u64(0)...), answer(setLogBase, good), answer(getVringBase, good, 1, 0, 0, 0, 7, 0, 0, 0)}, nil)...))
	f.Add(answer(getFeatures, good, u64(0)...))
	f.Fuzz(func(t *testing.T, said []byte) {
		ch := &script{said: said}
		s, err := begin(ch)
		if err != nil {
			return
		}
		_ = s.SetFeatures(1)
		_ = s.SetMemory([]Region{{Size: 1 << 20}})
		_ = s.SetLog(0, 4096)
		_ = s.StartRing(&Ring{Size: 8}, true)
		s.Announce([6]byte{2})
		_ = s.SetMTU(1500)
		if _, err := s.StopRing(0); s.Err() != nil && err == nil {
			t.Errorf("a ring was stopped after %v", s.Err())
		}
	})
}
