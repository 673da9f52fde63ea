package shim

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"sync"
	"time"
)

// keep is how much output is kept for each source while nobody listens, and how much may wait
// for one listener before the process has to wait too.
const keep = 1 << 20

// hub gives the process's output to all connections, or keeps it when there are none.
type hub struct {
	mu        sync.Mutex
	conns     map[*peer]bool
	backlog   []frame
	kept      int
	exit      *frame
	emitting  int       // outputs that wait for their listeners
	last      time.Time // when there was output last
	delivered chan struct{}
	once      sync.Once
	act       func(frame) // messages of the server
}

func newHub(act func(frame)) *hub {
	return &hub{conns: map[*peer]bool{}, delivered: make(chan struct{}), act: act}
}

// emit passes output on. It waits while a connection is slow.
func (h *hub) emit(kind byte, data []byte) {
	f := frame{kind, append([]byte(nil), data...)}
	h.mu.Lock()
	h.last = time.Now()
	if len(h.conns) == 0 {
		h.keep(f)
		h.mu.Unlock()
		return
	}
	peers := h.peers()
	h.emitting++
	h.mu.Unlock()
	for _, p := range peers {
		p.send(f, true)
	}
	h.mu.Lock()
	h.emitting--
	h.last = time.Now()
	h.mu.Unlock()
}

// flush waits for the end of all output. Whoever the process left behind may hold it open for
// ever; who has written nothing for the time quiet is not waited for. A slow listener is.
func (h *hub) flush(drained <-chan struct{}, quiet time.Duration) {
	for began := time.Now(); ; {
		select {
		case <-drained:
			return
		case <-time.After(quiet / 20):
		}
		h.mu.Lock()
		last := began
		if h.last.After(last) {
			last = h.last
		}
		over := h.emitting == 0 && time.Since(last) > quiet
		h.mu.Unlock()
		if over {
			return
		}
	}
}

func (h *hub) peers() []*peer {
	var all []*peer
	for p := range h.conns {
		all = append(all, p)
	}
	return all
}

// keep adds to the backlog and drops its oldest frames.
func (h *hub) keep(f frame) {
	h.backlog = append(h.backlog, f)
	h.kept += len(f.data)
	for h.kept > keep && len(h.backlog) > 1 {
		h.kept -= len(h.backlog[0].data)
		h.backlog = h.backlog[1:]
	}
}

// finish tells all that the process has ended, those that come later too.
func (h *hub) finish(e Exit) {
	data, _ := json.Marshal(e)
	h.mu.Lock()
	h.exit = &frame{kindExit, data}
	peers := h.peers()
	h.mu.Unlock()
	for _, p := range peers {
		p.send(*h.exit, false)
	}
}

// drained waits until every connection has taken all, at most for limit.
func (h *hub) drained(limit time.Duration) {
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		h.mu.Lock()
		waiting := false
		for p := range h.conns {
			waiting = waiting || p.waiting()
		}
		h.mu.Unlock()
		if !waiting {
			return
		}
	}
}

// serve accepts connections until the listener is closed.
func (h *hub) serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		p := newPeer(conn)
		h.mu.Lock()
		p.send(frame{kind: kindHello}, false)
		for _, f := range h.backlog {
			p.send(f, false)
		}
		h.backlog, h.kept = nil, 0
		if h.exit != nil {
			p.send(*h.exit, false)
		}
		h.conns[p] = true
		h.mu.Unlock()
		go func() {
			p.write()
			h.drop(p)
		}()
		go h.listen(p)
	}
}

func (h *hub) listen(p *peer) {
	r := bufio.NewReader(p.conn)
	for {
		f, err := readFrame(r)
		if err != nil {
			p.close()
			return
		}
		if f.kind == kindDelivered {
			h.once.Do(func() { close(h.delivered) })
			continue
		}
		h.act(f)
	}
}

// drop forgets a connection; what it did not take is kept for the next when it was the last.
func (h *hub) drop(p *peer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.conns, p)
	for _, f := range p.rest() {
		if len(h.conns) == 0 && (f.kind == kindStdout || f.kind == kindStderr) {
			h.keep(f)
		}
	}
}

// peer is one connection with a queue of frames to write.
type peer struct {
	conn    net.Conn
	mu      sync.Mutex
	changed *sync.Cond
	queue   []frame
	size    int
	closed  bool
}

func newPeer(conn net.Conn) *peer {
	p := &peer{conn: conn}
	p.changed = sync.NewCond(&p.mu)
	return p
}

// send queues a frame; with wait it first waits for room.
func (p *peer) send(f frame, wait bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for wait && p.size > keep && !p.closed {
		p.changed.Wait()
	}
	p.queue = append(p.queue, f)
	p.size += len(f.data)
	p.changed.Broadcast()
}

// write empties the queue into the connection until that is closed.
func (p *peer) write() {
	for {
		p.mu.Lock()
		for len(p.queue) == 0 && !p.closed {
			p.changed.Wait()
		}
		if p.closed {
			p.mu.Unlock()
			return
		}
		f := p.queue[0]
		p.mu.Unlock()
		if err := writeFrame(p.conn, f); err != nil {
			p.close()
			return
		}
		p.mu.Lock()
		p.queue = p.queue[1:]
		p.size -= len(f.data)
		p.changed.Broadcast()
		p.mu.Unlock()
	}
}

func (p *peer) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.closed = true
		_ = p.conn.Close()
		p.changed.Broadcast()
	}
}

func (p *peer) waiting() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.queue) > 0 && !p.closed
}

func (p *peer) rest() []frame {
	p.mu.Lock()
	defer p.mu.Unlock()
	rest := p.queue
	p.queue = nil
	return rest
}

// pump emits what r gives until it ends.
func (h *hub) pump(kind byte, r io.Reader) {
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			h.emit(kind, buf[:n])
		}
		if err != nil {
			return
		}
	}
}
