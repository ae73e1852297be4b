-- SPDX-License-Identifier: MIT
--
-- What wrk did, as one line of JSON. Its arguments are requests to be sent in turns, each of three:
-- method, path, and a header as "Name: value" or "".

local turns, last = {}, 0

function init(args)
	for i = 1, #args - 2, 3 do
		local headers = {}
		for name, value in pairs(wrk.headers) do
			headers[name] = value
		end
		local name, value = args[i + 2]:match("^([^:]+): (.*)$")
		if name then
			headers[name] = value
		end
		turns[#turns + 1] = wrk.format(args[i], args[i + 1], headers)
	end
	-- Only if it is there, wrk calls it for each request, and once for one that it does not send.
	last = #turns - 1
	if #turns > 0 then
		request = function()
			last = last % #turns + 1
			return turns[last]
		end
	end
end

function done(summary, latency, requests)
	local errors = summary.errors
	local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
	io.write(string.format(
		'\n{"requests":%d,"seconds":%.6f,"bytes":%d,"failed":%d,"mean_ms":%.6f,"median_ms":%.6f}\n',
		summary.requests, summary.duration / 1e6, summary.bytes, failed, latency.mean / 1e3,
		latency:percentile(50) / 1e3))
end
