package session

// fifo is a queue that keeps its memory.
type fifo[E any] struct {
	list []E
	head int // those before it are done
}

func (q *fifo[E]) len() int { return len(q.list) - q.head }

func (q *fifo[E]) first() E { return q.list[q.head] }

func (q *fifo[E]) push(e E) {
	if q.head > 64 && 2*q.head > len(q.list) {
		n := copy(q.list, q.list[q.head:])
		clear(q.list[n:])
		q.list, q.head = q.list[:n], 0
	}
	q.list = append(q.list, e)
}

func (q *fifo[E]) pop() E {
	var zero E
	e := q.list[q.head]
	q.list[q.head] = zero
	if q.head++; q.head == len(q.list) {
		q.list, q.head = q.list[:0], 0
	}
	return e
}
