;;;; SPDX-License-Identifier: GPL-3.0-or-later
;;;; Functions compiled, redefined and compiled again; bignums; a collector that moves things.

(defun fib (n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2)))))
(print (fib 30))
(dotimes (i 20)
  (let ((f (compile nil `(lambda (x) (declare (fixnum x)) (logxor (* x ,(+ i 3)) (ash x ,(- i)))))))
    (print (loop for x from 1 to 20000 sum (funcall f x)))))
(print (let ((sum 0d0)) (dotimes (i 1000000) (incf sum (sin (float i 1d0)))) sum))
(print (mod (expt 7 20000) 1000000007))
(let ((counts (make-hash-table :test 'equal)) (mixed 0))
  (dotimes (i 200000)
    (incf (gethash (format nil "k~d" (mod (* i 7919) 5003)) counts 0) i))
  (maphash (lambda (key value) (setf mixed (mod (+ mixed (* (length key) value)) 1000003))) counts)
  (print mixed))
(terpri)
