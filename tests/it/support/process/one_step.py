# The loop of an environment whose episodes are one step. What stands before it defines NAME,
# begin(number) and end(number, action), which give the members of an answer.
sessions = {}
for line in sys.stdin:
    request = json.loads(line)
    if request["op"] == "close":
        break
    if request["op"] == "describe":
        answer = {"protocol": 1, "name": NAME, "tasks": 40, "max_steps": 1}
    elif request["op"] == "reset":
        number = request.get("seed", request.get("number", 0))
        sessions[request["session"]] = number
        answer = {"session": request["session"], **begin(number)}
    else:
        number = sessions[request["session"]]
        answer = {"session": request["session"], "admissible": [], "terminated": True,
                  "truncated": False, **end(number, request["action"])}
    print(json.dumps(answer), flush=True)
