package httpserver

import (
	"reflect"
	"sync"

	"github.com/valyala/fasthttp"
)

// headsMost bounds what heads keeps.
const headsMost = 4096

// heads keeps the first lines of requests whose bodies come in chunks until
// those have come: the server forgets the whole request when one is too large,
// and the path says in which envelope to tell so.
type heads struct {
	mu sync.Mutex
	// By the address of the header's memory, which a connection keeps. A
	// pointer would keep the memory of connections that broke.
	kept map[uintptr]head
}

type head struct{ method, uri string }

func newHeads() *heads { return &heads{kept: map[uintptr]head{}} }

// received is the server's HeaderReceived; it changes no setting.
func (h *heads) received(header *fasthttp.RequestHeader) fasthttp.RequestConfig {
	if chunked(header) {
		h.mu.Lock()
		defer h.mu.Unlock()
		for other := range h.kept {
			if len(h.kept) < headsMost {
				break
			}
			delete(h.kept, other)
		}
		h.kept[address(header)] = head{string(header.Method()), string(header.RequestURI())}
	}
	return fasthttp.RequestConfig{}
}

// forget is for requests that have come whole.
func (h *heads) forget(header *fasthttp.RequestHeader) {
	if chunked(header) {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.kept, address(header))
	}
}

// restore gives a request that the server forgot its first line again.
func (h *heads) restore(header *fasthttp.RequestHeader) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if kept, ok := h.kept[address(header)]; ok {
		delete(h.kept, address(header))
		header.SetMethod(kept.method)
		header.SetRequestURI(kept.uri)
	}
}

func chunked(header *fasthttp.RequestHeader) bool { return header.ContentLength() == -1 }

func address(header *fasthttp.RequestHeader) uintptr { return reflect.ValueOf(header).Pointer() }
